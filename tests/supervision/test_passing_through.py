"""Failures of a child, and exceptions that pass through the tree."""

import pytest
import trio

from supervision import Heartbeat, SupervisionEvent, Tree
from supervision.failures import reason_of
from tests.supervision.rig import (
    Actor,
    Journal,
    chance,
    child,
    crashes_after,
    deaf,
    journal_after,
    obedient,
    raises,
    script,
    supervisor,
    tree_of,
)
from tests.virtual_time import virtual_time

pytestmark = virtual_time


async def test_the_groups_of_nested_nurseries_are_unwrapped() -> None:

    async def deep(heartbeat: Heartbeat) -> None:
        async with trio.open_nursery() as outer:
            outer.start_soon(trio.sleep_forever)
            async with trio.open_nursery() as inner:
                inner.start_soon(crashes_after(1, LookupError("deep down")), heartbeat)

    journal = await journal_after(5, supervisor(child("a", script(deep, obedient))))
    (crash,) = journal.crashes()
    assert (crash.reason, crash.exception_type) == ("LookupError: deep down", "LookupError")


async def test_of_several_failures_at_once_each_is_named() -> None:

    async def twice(heartbeat: Heartbeat) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(raises(ValueError("one")), heartbeat)
            nursery.start_soon(raises(KeyError("two")), heartbeat)

    journal = await journal_after(5, supervisor(child("a", script(twice, obedient))))
    (crash,) = journal.crashes()
    assert sorted(crash.reason.split("; ")) == ["KeyError: 'two'", "ValueError: one"]
    assert crash.exception_type == "ExceptionGroup"


def test_a_reason_is_one_bounded_line_whatever_the_exception() -> None:
    class MuteError(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    assert "MuteError" in reason_of(MuteError())
    assert "\n" not in reason_of(ValueError("two\nlines"))
    assert len(reason_of(ValueError("x" * 10_000))) == 500


@pytest.mark.parametrize("passing", [KeyboardInterrupt, SystemExit])
async def test_an_interrupt_ends_the_tree_and_is_raised(passing: type[BaseException]) -> None:
    journal = Journal()
    inner = supervisor(child("b", crashes_after(1, passing())), child("c"), name="inner")
    spec = supervisor(child("a"), inner, strategy="rest_for_one")
    with pytest.RaisesGroup(passing, flatten_subgroups=True):
        await tree_of(spec, journal).run()
    assert not journal.crashes()
    assert sorted(journal.lines()[4:]) == ["a cancelled", "b cancelled", "c cancelled", "inner cancelled"]


async def test_a_failure_that_comes_with_an_interrupt_is_reported_and_the_interrupt_raised() -> None:
    journal = Journal()

    async def both(heartbeat: Heartbeat) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(raises(ValueError("too")), heartbeat)
            nursery.start_soon(raises(KeyboardInterrupt()), heartbeat)

    with pytest.RaisesGroup(KeyboardInterrupt, flatten_subgroups=True):
        await tree_of(supervisor(child("a", both)), journal).run()
    (crash,) = journal.crashes()
    assert (crash.reason, crash.delay_sec) == ("ValueError: too", None)


async def raises_when_cancelled(heartbeat: Heartbeat) -> None:
    with heartbeat.idle():
        try:
            await trio.sleep_forever()
        finally:
            raise OSError("close failed")


async def raises_beside_the_cancelled(heartbeat: Heartbeat) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(raises_when_cancelled, heartbeat)
        nursery.start_soon(deaf, heartbeat)


@pytest.mark.parametrize("actor", [raises_when_cancelled, raises_beside_the_cancelled])
async def test_a_crash_under_cancellation_from_outside_is_reported_and_does_not_leave_run(
    actor: Actor, journal: Journal
) -> None:
    spec = supervisor(supervisor(child("a", actor), name="inner"), child("b"))
    with trio.move_on_after(3) as scope:
        await tree_of(spec, journal).run()
    assert scope.cancel_called
    (crash,) = journal.crashes()
    assert (crash.name, crash.reason, crash.delay_sec) == ("a", "OSError: close failed", None)


async def test_a_cancel_scope_of_the_actors_own_is_its_own_affair() -> None:

    async def times_out(heartbeat: Heartbeat) -> None:
        with heartbeat.idle():
            with trio.move_on_after(1):
                await trio.sleep_forever()
            with trio.fail_after(1):
                await trio.sleep_forever()

    journal = await journal_after(10, supervisor(child("a", script(times_out, obedient))))
    (crash,) = journal.crashes()
    assert crash.exception_type == "trio.TooSlowError"


async def test_a_report_that_raises_is_not_lost() -> None:
    def full(event: SupervisionEvent) -> None:
        raise trio.WouldBlock

    with pytest.RaisesGroup(trio.WouldBlock, flatten_subgroups=True):
        await Tree(supervisor(child("a")), rng=chance(), on_event=full).run()
