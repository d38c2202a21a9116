import pytest
import trio

from supervision import Heartbeat
from tests.virtual_time import virtual_time

pytestmark = virtual_time


@pytest.fixture
async def heartbeat() -> Heartbeat:
    return Heartbeat()


async def test_a_heartbeat_is_at_work_from_its_first_moment(heartbeat: Heartbeat) -> None:
    made_sec = trio.current_time()
    await trio.sleep(3)
    assert heartbeat.oldest_beat_at_work_sec() == made_sec
    assert not heartbeat.spoken


async def test_a_beat_is_the_newest_progress(heartbeat: Heartbeat) -> None:
    await trio.sleep(3)
    heartbeat.beat()
    assert heartbeat.oldest_beat_at_work_sec() == trio.current_time()
    assert heartbeat.spoken


async def test_idle_and_waiting_are_not_work_and_leaving_them_is_a_beat(heartbeat: Heartbeat) -> None:
    for phase in (heartbeat.idle(), heartbeat.waiting_for("Redis")):
        with phase:
            await trio.sleep(100)
            assert heartbeat.oldest_beat_at_work_sec() is None
        assert heartbeat.oldest_beat_at_work_sec() == trio.current_time()


async def test_each_wait_has_its_name_and_its_beginning(heartbeat: Heartbeat) -> None:
    with heartbeat.idle():
        await trio.sleep(5)
        entered_sec = trio.current_time()
        with heartbeat.waiting_for("Redis at localhost:6379"):
            await trio.sleep(5)
            (wait,) = heartbeat.waits()
            assert (wait.what, wait.since_sec) == ("Redis at localhost:6379", entered_sec)
        assert heartbeat.waits() == []
        assert heartbeat.oldest_beat_at_work_sec() is None


async def test_work_within_an_idle_phase_is_watched(heartbeat: Heartbeat) -> None:
    with heartbeat.idle():
        await trio.sleep(5)
        with heartbeat.working():
            begun_sec = trio.current_time()
            await trio.sleep(5)
            assert heartbeat.oldest_beat_at_work_sec() == begun_sec
        assert heartbeat.oldest_beat_at_work_sec() is None


async def test_a_phase_left_by_an_exception_is_left(heartbeat: Heartbeat) -> None:
    with pytest.raises(ConnectionError), heartbeat.waiting_for("Redis"):
        raise ConnectionError
    assert heartbeat.waits() == []
    assert heartbeat.oldest_beat_at_work_sec() == trio.current_time()


async def test_phases_that_overlap_leave_nothing_behind(heartbeat: Heartbeat) -> None:
    first, second = heartbeat.waiting_for("first"), heartbeat.waiting_for("second")
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert [wait.what for wait in heartbeat.waits()] == ["second"]
    second.__exit__(None, None, None)
    assert heartbeat.oldest_beat_at_work_sec() is not None


async def test_an_idle_task_does_not_hide_one_at_work(heartbeat: Heartbeat) -> None:
    with heartbeat.idle(), heartbeat.task() as reader, heartbeat.task() as pinger:
        begun_sec = trio.current_time()
        with reader.idle():
            await trio.sleep(5)
            assert heartbeat.oldest_beat_at_work_sec() == begun_sec
            pinger.beat()
            assert heartbeat.oldest_beat_at_work_sec() == trio.current_time()
            with pinger.waiting_for("Binance"):
                assert heartbeat.oldest_beat_at_work_sec() is None
                assert [wait.what for wait in heartbeat.waits()] == ["Binance"]
        heartbeat.stopping.set()
        assert pinger.stopping.is_set()
    await trio.sleep(5)
    heartbeat.beat()
    assert heartbeat.oldest_beat_at_work_sec() == trio.current_time()


async def test_of_several_tasks_at_work_the_most_silent_counts(heartbeat: Heartbeat) -> None:
    with heartbeat.task() as silent, heartbeat.task() as lively:
        await trio.sleep(5)
        heartbeat.beat()
        lively.beat()
        assert heartbeat.oldest_beat_at_work_sec() == silent.beat_sec < lively.beat_sec
