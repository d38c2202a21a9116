import pytest
import trio

from supervision import Backoff, Heartbeat, Intensity, Tree
from supervision.specs import Strategy
from tests.supervision.rig import (
    Actor,
    Journal,
    child,
    crashes_after,
    deaf,
    obedient,
    running,
    script,
    supervisor,
    tree_of,
)
from tests.virtual_time import virtual_time

pytestmark = virtual_time


def finishes_in(sec: float) -> Actor:
    """Needs so long to finish what is in hand when it is asked to stop."""

    async def actor(heartbeat: Heartbeat) -> None:
        with heartbeat.idle():
            await heartbeat.stopping.wait()
            await trio.sleep(sec)

    return actor


async def stop(tree: Tree, after_sec: float = 1) -> float:
    """Run the tree, stop it after a while; how long the stop took, in seconds."""
    async with trio.open_nursery() as nursery:
        await nursery.start(tree.run)
        await trio.sleep(after_sec)
        asked_sec = trio.current_time()
        tree.stop()
    return trio.current_time() - asked_sec


@pytest.mark.parametrize("strategy", ["one_for_one", "rest_for_one"])
async def test_children_are_stopped_in_reverse_one_after_the_other(strategy: Strategy) -> None:
    journal = Journal()
    inner = supervisor(
        child("b", finishes_in(0.5)), child("c", finishes_in(0.25)), name="inner", strategy=strategy
    )
    spec = supervisor(child("a", finishes_in(0.125)), inner, child("d", finishes_in(0.75)), strategy=strategy)
    tree = tree_of(spec, journal)
    took_sec = await stop(tree)
    assert journal.lines()[5:] == ["d asked", "c asked", "b asked", "inner asked", "a asked"]
    assert took_sec == pytest.approx(0.125 + 0.5 + 0.25 + 0.75)


async def test_a_nested_supervisor_is_over_before_the_child_ahead_of_it_is_asked(journal: Journal) -> None:
    # Each level takes some steps of the scheduler to close behind its last child.
    nested = supervisor(child("b"), name="level0")
    for level in range(1, 8):
        nested = supervisor(nested, name=f"level{level}")
    await stop(tree_of(supervisor(child("a"), nested), journal))
    levels = [f"level{level} asked" for level in range(8)]
    assert journal.lines()[-10:] == ["b asked", *levels, "a asked"]


async def test_a_nested_supervisor_that_once_gave_up_is_stopped_like_any_other(journal: Journal) -> None:
    inner = supervisor(
        child("b", script(crashes_after(1, ValueError()), obedient)),
        name="inner",
        intensity=Intensity(restarts=0, within_sec=1),
    )
    await stop(tree_of(supervisor(inner), journal), after_sec=10)
    assert journal.lines()[-2:] == ["b asked", "inner asked"]


async def test_a_child_is_cancelled_when_its_grace_is_over(journal: Journal) -> None:
    spec = supervisor(
        child("a", finishes_in(3), stop_grace_sec=4),
        child("b", finishes_in(3), stop_grace_sec=2),
        child("c", deaf, stop_grace_sec=0),
    )
    took_sec = await stop(tree_of(spec, journal))
    assert journal.lines()[3:] == ["c out of grace", "b out of grace", "a asked"]
    assert took_sec == pytest.approx(5)


async def test_a_child_that_waits_for_a_dependency_gets_no_grace(journal: Journal) -> None:

    async def waits(heartbeat: Heartbeat) -> None:
        with heartbeat.waiting_for("Redis"):
            await trio.sleep_forever()

    async def finishes_while_a_task_waits(heartbeat: Heartbeat) -> None:
        with heartbeat.task() as task, task.waiting_for("Redis"):
            await finishes_in(2)(heartbeat)

    spec = supervisor(
        child("a", finishes_while_a_task_waits, stop_grace_sec=5), child("b", waits, stop_grace_sec=5)
    )
    took_sec = await stop(tree_of(spec, journal))
    assert journal.lines()[2:] == ["b out of grace", "a asked"]
    assert took_sec == pytest.approx(2)


async def test_a_child_runs_on_untouched_until_its_turn() -> None:
    asked_sec: dict[str, float] = {}

    def notes(name: str) -> Actor:
        async def actor(heartbeat: Heartbeat) -> None:
            await heartbeat.stopping.wait()
            asked_sec[name] = trio.current_time()
            await trio.sleep(0.5)

        return actor

    await stop(tree_of(supervisor(child("a", notes("a")), child("b", notes("b"))), Journal()))
    assert asked_sec["a"] == pytest.approx(asked_sec["b"] + 0.5)


async def test_no_child_restarts_after_back_off_during_a_stop(journal: Journal) -> None:
    spec = supervisor(
        child("a", crashes_after(0.9, ValueError())), child("b", finishes_in(10), stop_grace_sec=20)
    )
    took_sec = await stop(tree_of(spec, journal))
    assert journal.lines() == ["a started", "b started", "a crashed", "b asked"]
    assert took_sec == pytest.approx(10)


async def test_a_stop_does_not_wait_for_a_back_off(journal: Journal) -> None:
    spec = supervisor(
        child("a", crashes_after(0.5, ValueError())),
        child("b"),
        backoff=Backoff(initial_sec=1000, maximum_sec=1000, jitter=0),
        strategy="rest_for_one",
    )
    tree = tree_of(spec, journal)
    assert await stop(tree, after_sec=2) == pytest.approx(0)
    assert [status.state for status in tree.status().children] == ["stopped", "stopped"]


async def test_a_crash_during_the_stop_is_reported_and_hinders_nothing(journal: Journal) -> None:

    async def breaks_when_asked(heartbeat: Heartbeat) -> None:
        await heartbeat.stopping.wait()
        raise OSError("flush failed")

    spec = supervisor(
        child("a"),
        child("b", breaks_when_asked),
        child("c", crashes_after(1.5, ValueError())),
        child("d", finishes_in(0.75)),
    )
    await stop(tree_of(spec, journal))
    assert journal.lines()[4:] == ["c crashed", "d asked", "b crashed", "a asked"]
    assert [(crash.restart_number, crash.delay_sec) for crash in journal.crashes()] == [(None, None)] * 2


async def test_a_stop_while_rest_for_one_is_being_stopped_for_a_restart(journal: Journal) -> None:
    spec = supervisor(
        child("a"),
        child("b", crashes_after(1, ValueError())),
        child("c"),
        child("d", finishes_in(2), stop_grace_sec=5),
        strategy="rest_for_one",
    )
    took_sec = await stop(tree_of(spec, journal), after_sec=2)
    assert journal.lines()[4:] == ["b crashed", "d asked", "c asked", "a asked"]
    assert took_sec == pytest.approx(1)


async def test_the_end_of_a_stop_is_no_failure_of_a_permanent_child(journal: Journal) -> None:
    await stop(tree_of(supervisor(child("a", restart="permanent")), journal))
    assert journal.lines(without="") == ["root started", "a started", "a asked", "root asked"]


async def test_stop_may_be_asked_twice_before_during_and_after(journal: Journal) -> None:
    tree = tree_of(supervisor(child("a", finishes_in(1), stop_grace_sec=5)), journal)
    async with trio.open_nursery() as nursery:
        await nursery.start(tree.run)
        tree.stop()
        await trio.sleep(0.5)
        tree.stop()
    tree.stop()
    assert journal.lines() == ["a started", "a asked"]


async def test_a_tree_stopped_before_it_runs_starts_nothing(journal: Journal) -> None:
    tree = tree_of(supervisor(child("a")), journal)
    tree.stop()
    async with trio.open_nursery() as nursery:
        await nursery.start(tree.run)
    assert journal.events == []


async def test_a_stop_asked_by_a_child_in_its_first_step_starts_no_further_child(journal: Journal) -> None:

    async def asks(heartbeat: Heartbeat) -> None:
        tree.stop()
        await obedient(heartbeat)

    tree = tree_of(supervisor(child("a", asks), *(child(f"b{number}") for number in range(20))), journal)
    with trio.fail_after(10):
        await tree.run()
    assert journal.lines().count("a asked") == 1
    assert "b19 started" not in journal.lines()


async def test_cancelling_run_ends_all_at_once_and_without_grace(journal: Journal) -> None:
    inner = supervisor(child("b", deaf, stop_grace_sec=100), name="inner")
    spec = supervisor(child("a", finishes_in(50), stop_grace_sec=100), inner)
    begun_sec = trio.current_time()
    with trio.move_on_after(3) as scope:
        await tree_of(spec, journal).run()
    assert scope.cancelled_caught
    assert trio.current_time() - begun_sec == pytest.approx(3)
    assert sorted(journal.lines()[3:]) == ["a cancelled", "b cancelled", "inner cancelled"]


async def test_cancelling_run_cuts_a_stop_short() -> None:
    spec = supervisor(*(child(name, deaf, stop_grace_sec=100) for name in "abc"))
    tree = tree_of(spec, Journal())
    begun_sec = trio.current_time()
    with trio.move_on_after(4) as scope:
        tree_stop_sec = await stop(tree)
        pytest.fail(f"stopped in {tree_stop_sec} s")
    assert scope.cancelled_caught
    assert trio.current_time() - begun_sec == pytest.approx(4)


async def test_a_tree_standing_is_announced_after_all_children_were_started(journal: Journal) -> None:
    inner = supervisor(child("b"), child("c"), name="inner", strategy="rest_for_one")
    async with running(tree_of(supervisor(child("a"), inner, child("d")), journal)):
        assert journal.lines() == ["a started", "inner started", "b started", "c started", "d started"]
