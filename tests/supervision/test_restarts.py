from itertools import pairwise

import pytest
import trio

from supervision import Backoff, ChildStarted, Heartbeat
from supervision.specs import Restart
from tests.supervision.rig import (
    Actor,
    Journal,
    child,
    crashes_after,
    deaf,
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


@pytest.mark.parametrize(
    ("restart", "end", "lines"),
    [
        ("permanent", crashes_after(1, ValueError("x")), ["a started", "a crashed", "a started"]),
        ("permanent", returns_after(1), ["a started", "a crashed", "a started"]),
        ("transient", crashes_after(1, ValueError("x")), ["a started", "a crashed", "a started"]),
        ("transient", returns_after(1), ["a started", "a returned"]),
    ],
)
async def test_restarts_follow_the_kind(restart: Restart, end: Actor, lines: list[str]) -> None:
    spec = supervisor(child("a", script(end, obedient), restart=restart), child("b"))
    journal = await journal_after(10, spec)
    assert [line for line in journal.lines() if line.startswith("a ")] == lines


async def test_a_crash_is_reported_with_its_reason_and_what_follows() -> None:
    spec = supervisor(
        child("a", script(crashes_after(1, ValueError("bad frame")), returns_after(1), obedient)),
        backoff=Backoff(initial_sec=2, maximum_sec=10, factor=2, jitter=0),
    )
    journal = await journal_after(30, spec)
    raised, returned = journal.crashes()
    assert (raised.path, raised.name, raised.reason, raised.exception_type) == (
        "root/a",
        "a",
        "ValueError: bad frame",
        "ValueError",
    )
    assert (raised.restart_number, raised.delay_sec) == (1, 2)
    assert isinstance(raised.failure, ValueError)
    assert returned.reason == "returned, though permanent"
    assert (returned.restart_number, returned.delay_sec) == (2, 4)


async def test_the_tree_ends_when_every_transient_child_has_come_to_its_end(journal: Journal) -> None:
    inner = supervisor(child("b", returns_after(2), restart="transient"), name="inner")
    with trio.fail_after(10):
        await tree_of(supervisor(child("a", returns_after(1), restart="transient"), inner), journal).run()
    assert journal.lines()[-3:] == ["a returned", "b returned", "inner returned"]


async def test_one_for_one_leaves_the_siblings_alone() -> None:
    spec = supervisor(
        child("a"), child("b", script(crashes_after(5, ValueError()), obedient)), child("c", deaf)
    )
    journal = await journal_after(20, spec)
    assert journal.lines() == ["a started", "b started", "c started", "b crashed", "b started"]


async def test_rest_for_one_stops_those_after_in_reverse_and_starts_them_in_order() -> None:
    spec = supervisor(
        child("a"),
        child("b", script(crashes_after(5, ValueError()), obedient)),
        child("c"),
        child("d", deaf),
        strategy="rest_for_one",
    )
    journal = await journal_after(20, spec)
    assert journal.lines() == [
        *("a started", "b started", "c started", "d started"),
        *("b crashed", "d out of grace", "c asked"),
        *("b started", "c started", "d started"),
    ]
    restarts = [event.restart_number for event in journal.events if isinstance(event, ChildStarted)]
    assert restarts[1:] == [0, 0, 0, 0, 1, 1, 1]


async def test_a_child_ended_by_the_failure_of_another_names_it() -> None:
    inner = supervisor(child("c"), name="inner")
    spec = supervisor(
        child("a"),
        child("b", script(crashes_after(5, ValueError("no")), obedient)),
        inner,
        strategy="rest_for_one",
    )
    tree = tree_of(spec, Journal())
    async with running(tree):
        await trio.sleep(20)
        a, b, inner_status = tree.status().children
        assert (a.restarts, a.last_reason) == (0, None)
        assert (b.restarts, b.last_reason) == (1, "ValueError: no")
        assert (inner_status.restarts, inner_status.last_reason) == (1, "ended with b")
        (c,) = inner_status.children
        assert (c.restarts, c.last_reason) == (1, "ended with b")


async def test_rest_for_one_starts_a_transient_child_again_that_had_come_to_its_end() -> None:
    spec = supervisor(
        child("a", script(crashes_after(5, ValueError()), obedient)),
        child("b", returns_after(1), restart="transient"),
        child("c"),
        strategy="rest_for_one",
    )
    journal = await journal_after(20, spec)
    assert journal.lines() == [
        *("a started", "b started", "c started", "b returned"),
        *("a crashed", "c asked", "a started", "b started", "c started", "b returned"),
    ]


async def test_rest_for_one_keeps_those_after_a_transient_child_that_has_ended() -> None:
    spec = supervisor(
        child("a", returns_after(1), restart="transient"),
        child("b", script(crashes_after(3, ValueError()), obedient)),
        strategy="rest_for_one",
    )
    journal = await journal_after(20, spec)
    assert journal.lines() == ["a started", "b started", "a returned", "b crashed", "b started"]


async def test_rest_for_one_brings_back_all_that_a_nested_supervisor_holds() -> None:
    inner = supervisor(child("b"), supervisor(child("c"), name="innermost"), name="inner")
    spec = supervisor(
        child("a", script(crashes_after(5, ValueError()), obedient)), inner, strategy="rest_for_one"
    )
    journal = await journal_after(20, spec)
    assert journal.lines()[5:] == [
        *("a crashed", "c asked", "innermost asked", "b asked", "inner asked"),
        *("a started", "inner started", "b started", "innermost started", "c started"),
    ]


async def test_an_earlier_crash_overtakes_the_back_off_of_a_later_one() -> None:
    spec = supervisor(
        child("a", script(crashes_after(2, ValueError()), obedient)),
        child("b", script(crashes_after(1.5, ValueError()), obedient)),
        child("c"),
        strategy="rest_for_one",
        backoff=Backoff(initial_sec=10, maximum_sec=10, jitter=0),
    )
    journal = await journal_after(30, spec)
    assert journal.lines() == [
        *("a started", "b started", "c started"),
        *("b crashed", "c asked", "a crashed"),
        *("a started", "b started", "c started"),
    ]


async def test_each_child_has_run_to_its_first_wait_before_the_next_is_started() -> None:
    order: list[str] = []

    def notes(name: str) -> Actor:
        async def actor(heartbeat: Heartbeat) -> None:
            order.append(name)
            await obedient(heartbeat)

        return actor

    inner = supervisor(*(child(name, notes(name)) for name in "bcd"), name="inner", strategy="rest_for_one")
    spec = supervisor(child("a", notes("a")), inner, *(child(name, notes(name)) for name in "efg"))
    async with running(tree_of(spec, Journal())):
        assert order == list("abcdefg")


async def test_back_off_grows_to_its_cap_and_a_healthy_run_resets_it() -> None:
    at_once = crashes_after(0, ValueError())
    spec = supervisor(
        child("a", script(*[at_once] * 5, crashes_after(30, ValueError()), at_once, obedient)),
        backoff=Backoff(initial_sec=1, maximum_sec=6, factor=2, jitter=0, healthy_after_sec=30),
    )
    journal = await journal_after(100, spec)
    assert [crash.delay_sec for crash in journal.crashes()] == [1, 2, 4, 6, 6, 1, 2]
    starts_sec = journal.starts_sec("a")
    waited_sec = [later - earlier for earlier, later in pairwise(starts_sec)]
    assert waited_sec == pytest.approx([1, 2, 4, 6, 6, 31, 2])


async def test_a_healthy_run_that_a_sibling_ended_resets_back_off_too() -> None:
    at_once = crashes_after(0, ValueError())
    spec = supervisor(
        child("a", script(crashes_after(60, ValueError()), obedient)),
        child("b", script(at_once, at_once, obedient, at_once, obedient)),
        strategy="rest_for_one",
        backoff=Backoff(initial_sec=1, maximum_sec=60, factor=2, jitter=0, healthy_after_sec=30),
    )
    journal = await journal_after(200, spec)
    assert [(crash.name, crash.delay_sec) for crash in journal.crashes()] == [
        ("b", 1),
        ("b", 2),
        ("a", 1),
        ("b", 1),
    ]


async def test_a_child_that_crashes_in_its_first_step_a_hundred_times_comes_up_at_last() -> None:
    journal = Journal()
    crashes = 0

    async def unlucky(heartbeat: Heartbeat) -> None:
        nonlocal crashes
        if crashes < 100:
            crashes += 1
            raise OSError(crashes)
        await obedient(heartbeat)

    spec = supervisor(
        child("a", unlucky),
        child("b"),
        strategy="rest_for_one",
        backoff=Backoff(initial_sec=0, maximum_sec=0, jitter=0),
    )
    tree = tree_of(spec, journal)
    async with running(tree):
        await trio.testing.wait_all_tasks_blocked()
        a, b = tree.status().children
        assert (a.state, a.restarts, a.last_reason) == ("running", 100, "OSError: 100")
        assert b.state == "running"
        assert journal.lines().count("a crashed") == 100


async def test_each_incarnation_has_a_heartbeat_of_its_own() -> None:
    given: list[Heartbeat] = []

    async def actor(heartbeat: Heartbeat) -> None:
        given.append(heartbeat)
        heartbeat.idle().__enter__()
        if len(given) == 1:
            raise ValueError
        await heartbeat.stopping.wait()

    tree = tree_of(supervisor(child("a", actor)), Journal())
    async with running(tree):
        await trio.sleep(5)
        first, second = given
        assert first is not second
        assert not second.stopping.is_set()
