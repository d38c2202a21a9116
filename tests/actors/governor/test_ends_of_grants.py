"""Ends of grants: their time, a snapshot that shows the fill, and outcomes that stay open."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import trio

from brain.identifiers import EntryId, FencingToken, PlanId, Symbol
from channels import UnknownExecution
from store.governor_records import GrantChange
from tests.actors.governor_rig import EPOCH_MS, GovernorRig, actor_rules, running_governor
from tests.virtual_time import virtual_time

pytestmark = virtual_time


async def test_no_word_for_permit_and_grace_gives_the_grant_back_with_an_event(rig: GovernorRig) -> None:
    async with running_governor(rig):
        rig.publish("one")
        await trio.sleep(89)
        assert set(rig.reserved()) == {"one"}
        await trio.sleep(3)
        assert (rig.reserved(), rig.window(), rig.opened()) == ({}, [], "0")
    (event,) = rig.entries(rig.own.events)
    assert event["event"] == "GRANT_EXPIRED"
    assert '"plan_id":"one"' in event["context"]


async def test_a_grant_past_its_time_counts_no_more_even_before_it_is_swept_away() -> None:
    rig = GovernorRig(actor_rules(max_open_positions=1))
    async with running_governor(rig):
        rig.publish("one")
        await trio.sleep(0.1)
    await trio.sleep(91)
    rig.prove()
    async with running_governor(rig):
        rig.publish("two", "ETHUSDT")
        await trio.sleep(0.05)
        assert rig.reason("two") == "governor_granted"


async def test_a_grant_lives_while_it_is_not_known_whether_its_plan_was_executed(rig: GovernorRig) -> None:
    async with running_governor(rig):
        rig.publish("one")
        await trio.sleep(0.1)
        plan, symbol = PlanId("one"), Symbol("BTCUSDT")
        rig.unknown_executions.send((UnknownExecution(plan, symbol, EPOCH_MS, 1000.0),))
        await trio.sleep(300)
        assert (set(rig.reserved()), rig.window(), rig.opened()) == ({"one"}, ["one"], "100")
        rig.publish("more", qty="20")
        await trio.sleep(0.1)
        assert rig.block("more") is not None
        rig.result("one", filled_qty="0.5")
        await trio.sleep(2.5)
        assert (rig.reserved(), rig.window(), rig.opened()) == ({}, ["one"], "50")


async def test_a_grant_ends_when_its_outcome_stays_open_no_longer(rig: GovernorRig) -> None:
    async with running_governor(rig):
        rig.publish("one")
        await trio.sleep(0.1)
        rig.unknown_executions.send((UnknownExecution(PlanId("one"), Symbol("BTCUSDT"), EPOCH_MS, 1000.0),))
        await trio.sleep(100)
        rig.unknown_executions.send(())
        await trio.sleep(92)
        assert (rig.reserved(), rig.window()) == ({}, [])


async def test_a_fill_counts_until_a_snapshot_has_all_results(rig: GovernorRig) -> None:
    async with running_governor(rig):
        rig.publish("one")
        await trio.sleep(0.1)
        entry = EntryId(rig.result("one"))
        rig.results.arrive(Symbol("BTCUSDT"), entry, rig.clock.now().earlier_by(-3))
        await trio.sleep(2.5)
        assert set(rig.reserved()) == {"one"}
        rig.results.finish(Symbol("BTCUSDT"), entry)
        await trio.sleep(1.5)
        assert rig.reserved() == {}


@pytest.mark.simulation
async def test_a_fill_of_a_symbol_that_trades_no_longer_ends_within_the_hour(rig: GovernorRig) -> None:
    async with running_governor(rig):
        rig.publish("one")
        await trio.sleep(0.1)
        rig.results.arrive(Symbol("BTCUSDT"), EntryId("9-0"), rig.clock.now().earlier_by(-9_000))
        rig.result("one")
        rules = rig.symbol_rules.value
        assert rules is not None
        rig.symbol_rules.send({name: each for name, each in rules.items() if name != "BTCUSDT"})
        await trio.sleep(3_500)
        assert set(rig.reserved()) == {"one"}
        lease = rig.lease.value
        assert lease is not None
        await rig.store.hold_lease("me", lease.fence, 3_600_000)
        await trio.sleep(110)
        assert rig.reserved() == {}


@pytest.mark.parametrize(("number", "apart_sec"), [(60, 0.3), (1000, 0.0)], ids=["one by one", "at once"])
async def test_many_ends_of_grants_keep_no_other_upkeep_waiting(
    rig: GovernorRig, number: int, apart_sec: float
) -> None:
    change_grants, longest_sec = rig.store.change_grants, 0.0

    async def slowly(
        fence: FencingToken, version: tuple[str, str], changes: Sequence[GrantChange]
    ) -> tuple[bool, ...] | None:
        await trio.sleep(0.9)
        return await change_grants(fence, version, changes)

    rig.position("BTCUSDT", "2")
    async with running_governor(rig) as heartbeat:
        for each in range(number):
            rig.publish_close(f"plan-{each}")
            await trio.sleep(apart_sec)
        await trio.sleep(1)
        assert len(rig.reserved()) == number
        rig.store.change_grants = slowly  # type: ignore[method-assign]
        while rig.reserved():
            await trio.sleep(0.5)
            beat_sec = heartbeat.oldest_beat_at_work_sec()
            if beat_sec is not None:
                longest_sec = max(longest_sec, trio.current_time() - beat_sec)
    assert longest_sec < 4, "an actor that is at work for 10 s without a beat is restarted"
