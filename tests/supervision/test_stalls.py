import pytest
import trio

from supervision import Backoff, ChildStalled, Heartbeat
from tests.supervision.rig import (
    Journal,
    child,
    crashes_after,
    journal_after,
    obedient,
    returns_after,
    running,
    script,
    supervisor,
    tree_of,
)
from tests.virtual_time import virtual_time

pytestmark = virtual_time

#: A child at its limit of 5 s is given so long, since the process may have been stopped with it (seconds).
GOES_ON_SEC = 0.25


async def hangs(heartbeat: Heartbeat) -> None:
    heartbeat.beat()
    await trio.sleep_forever()


async def test_work_without_a_beat_is_cancelled_at_its_limit_and_restarted(journal: Journal) -> None:
    spec = supervisor(child("a", script(hangs, obedient), stall_limit_sec=5), child("b"))
    async with running(tree_of(spec, journal)):
        begun_sec = trio.current_time()
        await trio.sleep(20)
        assert journal.lines()[2:] == ["a stalled", "a crashed", "a started"]
        stalled_at_sec = journal.times_sec[-3] - begun_sec
        assert stalled_at_sec == pytest.approx(5 + GOES_ON_SEC)
        (crash,) = journal.crashes()
        assert (crash.reason, crash.exception_type, crash.delay_sec) == (
            "stalled",
            "supervision.failures.Stalled",
            1,
        )
        assert journal.events[-3] == ChildStalled(path="root/a", stall_limit_sec=5)


async def test_a_child_that_never_uses_its_heartbeat_stalls_too() -> None:

    async def mute(heartbeat: Heartbeat) -> None:
        await trio.sleep_forever()

    journal = await journal_after(5.5, supervisor(child("a", mute, stall_limit_sec=5)))
    assert journal.lines() == ["a started", "a stalled", "a crashed"]


async def test_slow_work_that_beats_is_no_stall() -> None:

    async def plods(heartbeat: Heartbeat) -> None:
        while True:
            await trio.sleep(4.9)
            heartbeat.beat()

    journal = await journal_after(1000, supervisor(child("a", plods, stall_limit_sec=5)))
    assert journal.lines() == ["a started"]


async def test_waiting_for_a_dependency_or_for_work_is_no_stall(journal: Journal) -> None:

    async def waits(heartbeat: Heartbeat) -> None:
        with heartbeat.waiting_for("Redis"):
            await trio.sleep(10_000)
        with heartbeat.idle():
            await trio.sleep(10_000)
        await trio.sleep_forever()

    async with running(tree_of(supervisor(child("a", waits, stall_limit_sec=5)), journal)):
        begun_sec = trio.current_time()
        await trio.sleep(20_006.5)
        assert journal.lines() == ["a started", "a stalled", "a crashed", "a started"]
        assert journal.times_sec[2] - begun_sec == pytest.approx(20_005 + GOES_ON_SEC)


async def test_without_a_limit_nothing_stalls(journal: Journal) -> None:
    tree = tree_of(supervisor(child("a", hangs, stall_limit_sec=None)), journal)
    async with running(tree):
        await trio.sleep(10_000)
        assert journal.lines() == ["a started"]
        assert tree.progressing()


async def test_a_crash_after_a_stall_has_its_own_reason() -> None:
    spec = supervisor(
        child("a", script(hangs, crashes_after(1, ValueError("no")), obedient), stall_limit_sec=5)
    )
    journal = await journal_after(20, spec)
    assert [crash.reason for crash in journal.crashes()] == ["stalled", "ValueError: no"]


async def test_one_stalled_task_ends_the_whole_incarnation() -> None:

    async def two_lines(heartbeat: Heartbeat) -> None:
        async def read() -> None:
            with heartbeat.task() as task, task.idle():
                await trio.sleep_forever()

        async def ping() -> None:
            with heartbeat.task() as task:
                task.beat()
                await trio.sleep_forever()

        with heartbeat.idle():
            async with trio.open_nursery() as nursery:
                nursery.start_soon(read)
                nursery.start_soon(ping)

    journal = await journal_after(5.5, supervisor(child("a", two_lines, stall_limit_sec=5)))
    assert journal.lines() == ["a started", "a stalled", "a crashed"]


async def test_an_error_of_a_stalled_child_while_it_is_cancelled_is_the_cause_of_its_stall() -> None:

    async def ends_badly(heartbeat: Heartbeat) -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise OSError("socket already closed")

    journal = await journal_after(5.5, supervisor(child("a", ends_badly, stall_limit_sec=5)))
    (crash,) = journal.crashes()
    assert crash.reason == "stalled"
    assert isinstance(crash.failure.__cause__, ExceptionGroup)
    assert crash.failure.__cause__.subgroup(OSError)


async def test_time_spent_stalled_is_not_healthy_time() -> None:
    spec = supervisor(
        child("a", hangs, stall_limit_sec=60),
        backoff=Backoff(initial_sec=1, maximum_sec=60, factor=2, jitter=0, healthy_after_sec=30),
    )
    journal = await journal_after(199, spec)
    assert [crash.delay_sec for crash in journal.crashes()] == [1, 2, 4]


async def test_a_child_that_shields_its_stall_is_reported_and_holds_back_progressing() -> None:
    journal = Journal()

    async def shields(heartbeat: Heartbeat) -> None:
        with trio.CancelScope(shield=True):
            await trio.sleep(100)

    tree = tree_of(supervisor(child("a", script(shields, obedient), stall_limit_sec=5), child("b")), journal)
    async with running(tree):
        await trio.sleep(4)
        assert tree.progressing()
        await trio.sleep(2)
        assert journal.lines()[2:] == ["a stalled"]
        assert not tree.progressing()
        assert tree.stalled() == ["root/a"]
        await trio.sleep(95.5)
        assert journal.lines()[2:] == ["a stalled", "a crashed", "a started"]
        assert tree.progressing()


async def test_a_child_that_ends_in_time_leaves_no_watcher_behind(journal: Journal) -> None:
    spec = supervisor(child("a", returns_after(1), restart="transient", stall_limit_sec=1000))
    begun_sec = trio.current_time()
    await tree_of(spec, journal).run()
    assert trio.current_time() - begun_sec == pytest.approx(1)


async def test_a_hundred_stalls_in_a_row_leave_a_sibling_untouched() -> None:
    ticks = 0

    async def ticking(heartbeat: Heartbeat) -> None:
        nonlocal ticks
        while True:
            await trio.sleep(1)
            heartbeat.beat()
            ticks += 1

    spec = supervisor(
        child("a", hangs, stall_limit_sec=2),
        child("b", ticking, stall_limit_sec=2),
        backoff=Backoff(initial_sec=0.5, maximum_sec=0.5, jitter=0),
    )
    journal = await journal_after(260.25, spec)
    assert journal.lines().count("a stalled") == 100
    assert ticks == 260
    assert [line for line in journal.lines() if line.startswith("b ")] == ["b started"]
