"""A plan without a ledger waits until one is adopted, and is decided on it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import trio
from structlog.testing import capture_logs

from channels import LedgerWanted, SetGauge
from tests.actors.evaluator_rig import EvaluatorRig, running_evaluator
from tests.actors.ledger_rig import LedgerRig, at_rest, running_writer
from tests.background import background
from tests.virtual_time import virtual_time

pytestmark = virtual_time


@pytest.mark.parametrize(
    ("publish", "amount", "reason"),
    [
        pytest.param(EvaluatorRig.publish, "1", "sanity_checks_passed", id="close of a position"),
        pytest.param(EvaluatorRig.publish, "0", "no_position", id="close of nothing"),
        pytest.param(EvaluatorRig.publish_entry, "0", "open_permit_granted", id="open"),
    ],
)
async def test_a_plan_without_a_ledger_is_decided_on_the_adopted_one(
    rig: EvaluatorRig, publish: Callable[[EvaluatorRig, str], str], amount: str, reason: str
) -> None:
    rig.position("BTCUSDT", amount)
    async with running_evaluator(rig), background(rig.adopt_ledgers, 0.2, amount):
        publish(rig, "p")
        await trio.sleep(0.3)
        assert rig.reason("p") == reason


async def test_a_missing_position_and_then_a_missing_ledger_are_fetched_for_one_plan(
    rig: EvaluatorRig,
) -> None:
    rig.holds("ETHUSDT", "1")
    async with running_evaluator(rig), background(rig.show_reads, 0.3, "-2") as nursery:
        nursery.start_soon(rig.adopt_ledgers, 0.2, "-2")
        rig.publish("first", action="PARTIAL_50")
        await trio.sleep(0.1)
        rig.publish("second", action="PARTIAL_50")
        rig.publish("quick", "ETHUSDT")
        await trio.sleep(0.1)
        assert rig.audited() == ["quick"]
        await trio.sleep(0.5)
        assert rig.audited() == ["quick", "first", "second"]
        assert rig.reason("first") == rig.reason("second") == "sanity_checks_passed"


@pytest.mark.parametrize("writer", ["is away", "cannot adopt"])
async def test_without_a_ledger_after_all_the_plans_are_denied_within_a_second(
    rig: EvaluatorRig, nursery: trio.Nursery, writer: str
) -> None:
    rig.position("BTCUSDT", "1")
    with capture_logs() as logs:
        async with running_evaluator(rig):
            if writer != "is away":
                nursery.start_soon(rig.adopt_ledgers, 0.1, None)
            for number in range(4):
                rig.publish(f"p{number}")
            await trio.sleep(1)
            for number in range(4):
                assert rig.reason(f"p{number}") == "reconcile_required_qty_mismatch"
            assert rig.answer("p0")["details"]["ledger"] == "missing"
    warnings = [entry["event"] for entry in logs if "no ledger" in entry["event"]]
    assert warnings == ["BTCUSDT: no ledger, and none was adopted in time"]


async def test_an_existing_ledger_is_not_asked_for(rig: EvaluatorRig) -> None:
    rig.position("BTCUSDT", "1")
    rig.ledger("BTCUSDT", "5")
    async with running_evaluator(rig):
        rig.publish("p")
        await trio.sleep(0.02)
        assert rig.reason("p") == "reconcile_required_qty_mismatch"
        assert rig.ledgers_wanted.depth == 0
        assert rig.store.commits == 2, "one that learnt what is stored, and the deny"


async def deleted(rig: LedgerRig) -> None:
    """Delete the ledger of a held position, which was adopted and then corrected."""
    await at_rest(rig)
    rig.redis.hset(rig.keys.ledger("ETHUSDT"), {"last_known_amt": "7"})
    await trio.sleep(10)
    rig.observe("ETHUSDT")
    rig.redis.delete(rig.keys.ledger("ETHUSDT"))


async def wanted(rig: LedgerRig, symbol: str) -> bool:
    """Ask for a ledger as a decision does; return the answer."""
    reply, answer = trio.open_memory_channel[bool](1)
    await rig.ledgers_wanted.send(LedgerWanted(symbol, reply))
    with trio.fail_after(1):
        return await answer.receive()


async def test_the_ledger_writer_adopts_a_deleted_ledger_when_a_decision_wants_it(stopped: LedgerRig) -> None:
    async with running_writer(stopped):
        await deleted(stopped)
        assert await wanted(stopped, "ETHUSDT")
        assert stopped.ledger("ETHUSDT")["last_known_amt"] == "-2"
        assert stopped.ledger("ETHUSDT")["source"] == "adopted"
        adopted = stopped.events("LEDGER_ADOPTED")
        assert [event["symbol"] for event in adopted] == ["ETHUSDT", "ETHUSDT"]
        assert await wanted(stopped, "ETHUSDT"), "there is one"
        assert len(stopped.events()) == len(adopted), "and it was not adopted again"


async def test_the_ledger_writer_adopts_nothing_from_an_untrusted_snapshot(stopped: LedgerRig) -> None:
    async with running_writer(stopped):
        await deleted(stopped)
        stopped.book.lose_trust(stopped.clock.now())
        assert not await wanted(stopped, "ETHUSDT")
        assert not await wanted(stopped, "NEVERHEARDUSDT")
        assert stopped.amount("ETHUSDT") is None
        stopped.observe("ETHUSDT")
        await trio.sleep(11)
        stopped.redis.delete(stopped.keys.ledger("ETHUSDT"))
        assert not await wanted(stopped, "ETHUSDT"), "the snapshot is stale"


async def test_a_fill_contained_in_a_ledger_adopted_for_a_decision_moves_nothing(stopped: LedgerRig) -> None:
    async with running_writer(stopped):
        await deleted(stopped)
        stopped.exchange.fill("ETHUSDT", "7", "BUY", "0.5")
        stopped.observe("ETHUSDT")
        assert await wanted(stopped, "ETHUSDT")
        assert stopped.amount("ETHUSDT") == "-1.5"
        stopped.push_fill("ETHUSDT", "7", "BUY")
        stopped.publish_result("ETHUSDT", "7", "BUY", "0.5")
        await trio.sleep(2)
        assert stopped.amount("ETHUSDT") == "-1.5"
        stopped.execute("ETHUSDT", "8", "BUY", "0.5")
        await trio.sleep(2)
        assert stopped.amount("ETHUSDT") == "-1"


async def test_a_deleted_ledger_is_adopted_within_seconds_without_any_plan(stopped: LedgerRig) -> None:
    async with running_writer(stopped):
        await deleted(stopped)
        await trio.sleep(6.1)
        assert stopped.amount("ETHUSDT") == "-2"


async def test_a_correction_is_seen_in_gauge_and_hash_within_seconds(stopped: LedgerRig) -> None:
    async with running_writer(stopped):
        await at_rest(stopped, 3)
        await stopped.metrics.receive_all()
        stopped.redis.hset(stopped.keys.ledger("ETHUSDT"), {"last_known_amt": "3"})
        await trio.sleep(6.1)
        corrected = stopped.ledger("ETHUSDT")
        assert (corrected["ledger_amt"], corrected["ledger_side"]) == ("3", "LONG")
        assert SetGauge("p33_ledger_amt", 3.0, ("ETHUSDT",)) in await stopped.metrics.receive_all()
