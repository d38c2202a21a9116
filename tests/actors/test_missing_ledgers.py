"""A plan without a ledger waits until one is adopted, and is decided on it."""

from __future__ import annotations

import pytest
import trio
from structlog.testing import capture_logs

from channels import LedgerWanted, SetGauge
from tests.actors.evaluator_rig import EvaluatorRig, running_evaluator
from tests.actors.ledger_rig import LedgerRig, running_writer
from tests.background import background
from tests.virtual_time import virtual_time

pytestmark = virtual_time


@pytest.fixture
def rig() -> EvaluatorRig:
    return EvaluatorRig()


@pytest.mark.parametrize(
    ("amount", "reason"), [("1", "sanity_checks_passed"), ("0", "no_position")], ids=["held", "flat"]
)
async def test_a_close_without_a_ledger_is_decided_on_the_adopted_one(
    rig: EvaluatorRig, amount: str, reason: str
) -> None:
    rig.position("BTCUSDT", amount)

    def adopt(symbol: str) -> bool:
        rig.ledger(symbol, amount)
        return True

    async with running_evaluator(rig), background(rig.adopt_ledgers, 0.2, adopt):
        rig.publish("p")
        await trio.sleep(0.3)
        assert rig.reason("p") == reason


async def test_an_open_without_a_ledger_is_granted_once_there_is_one(rig: EvaluatorRig) -> None:
    rig.position("BTCUSDT", "0")

    def adopt(symbol: str) -> bool:
        rig.ledger(symbol, "0")
        return True

    async with running_evaluator(rig), background(rig.adopt_ledgers, 0.2, adopt):
        rig.publish_entry("p")
        await trio.sleep(0.3)
        assert rig.reason("p") == "open_permit_granted"


async def test_a_missing_position_and_then_a_missing_ledger_are_fetched_for_one_plan(
    rig: EvaluatorRig,
) -> None:
    def read(symbol: str) -> None:
        rig.position(symbol, "-2")

    def adopt(symbol: str) -> bool:
        rig.ledger(symbol, "-2")
        return True

    rig.holds("ETHUSDT", "1")
    async with running_evaluator(rig), background(rig.answer_reads, 0.3, read) as nursery:
        nursery.start_soon(rig.adopt_ledgers, 0.2, adopt)
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
    rig: EvaluatorRig, writer: str
) -> None:
    rig.position("BTCUSDT", "1")
    with capture_logs() as logs:
        async with running_evaluator(rig), trio.open_nursery() as nursery:
            if writer != "is away":
                nursery.start_soon(rig.adopt_ledgers, 0.1, lambda _symbol: False)
            for number in range(4):
                rig.publish(f"p{number}")
            await trio.sleep(1)
            for number in range(4):
                assert rig.reason(f"p{number}") == "reconcile_required_qty_mismatch"
            permit = rig.permit("p0")
            assert permit is not None and permit["details"]["ledger"] == "missing"
            nursery.cancel_scope.cancel()
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
    for symbol in rig.exchange.rows:
        rig.observe(symbol)
    await trio.sleep(1)
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


@pytest.fixture
async def ledgers() -> LedgerRig:
    rig = LedgerRig()
    rig.exchange.set("BTCUSDT", "0", update_time_ms=0)
    rig.exchange.set("ETHUSDT", "-2", update_time_ms=5)
    return rig


async def test_the_ledger_writer_adopts_a_deleted_ledger_when_a_decision_wants_it(ledgers: LedgerRig) -> None:
    async with running_writer(ledgers):
        await deleted(ledgers)
        assert await wanted(ledgers, "ETHUSDT")
        assert ledgers.ledger("ETHUSDT")["last_known_amt"] == "-2"
        assert ledgers.ledger("ETHUSDT")["source"] == "adopted"
        adopted = [event for event in ledgers.events() if event["event"] == "LEDGER_ADOPTED"]
        assert [event["symbol"] for event in adopted] == ["ETHUSDT", "ETHUSDT"]
        assert await wanted(ledgers, "ETHUSDT"), "there is one"
        assert len(ledgers.events()) == len(adopted), "and it was not adopted again"


async def test_the_ledger_writer_adopts_nothing_from_an_untrusted_snapshot(ledgers: LedgerRig) -> None:
    async with running_writer(ledgers):
        await deleted(ledgers)
        ledgers.book.lose_trust(ledgers.clock.now())
        assert not await wanted(ledgers, "ETHUSDT")
        assert not await wanted(ledgers, "NEVERHEARDUSDT")
        assert ledgers.amount("ETHUSDT") is None
        ledgers.observe("ETHUSDT")
        await trio.sleep(11)
        ledgers.redis.delete(ledgers.keys.ledger("ETHUSDT"))
        assert not await wanted(ledgers, "ETHUSDT"), "the snapshot is stale"


async def test_a_fill_contained_in_a_ledger_adopted_for_a_decision_moves_nothing(ledgers: LedgerRig) -> None:
    async with running_writer(ledgers):
        await deleted(ledgers)
        ledgers.exchange.fill("ETHUSDT", "7", "BUY", "0.5")
        ledgers.observe("ETHUSDT")
        assert await wanted(ledgers, "ETHUSDT")
        assert ledgers.amount("ETHUSDT") == "-1.5"
        ledgers.push_fill("ETHUSDT", "7", "BUY")
        ledgers.publish_result("ETHUSDT", "7", "BUY", "0.5")
        await trio.sleep(2)
        assert ledgers.amount("ETHUSDT") == "-1.5"
        ledgers.exchange.fill("ETHUSDT", "8", "BUY", "0.5")
        ledgers.push_fill("ETHUSDT", "8", "BUY")
        ledgers.publish_result("ETHUSDT", "8", "BUY", "0.5")
        await trio.sleep(2)
        assert ledgers.amount("ETHUSDT") == "-1"


async def test_a_deleted_ledger_is_adopted_within_seconds_without_any_plan(ledgers: LedgerRig) -> None:
    async with running_writer(ledgers):
        await deleted(ledgers)
        await trio.sleep(6.1)
        assert ledgers.amount("ETHUSDT") == "-2"


async def test_a_correction_is_seen_in_gauge_and_hash_within_seconds(ledgers: LedgerRig) -> None:
    async with running_writer(ledgers):
        for symbol in ledgers.exchange.rows:
            ledgers.observe(symbol)
        await trio.sleep(3)
        await ledgers.metrics.receive_all()
        ledgers.redis.hset(ledgers.keys.ledger("ETHUSDT"), {"last_known_amt": "3"})
        await trio.sleep(6.1)
        corrected = ledgers.ledger("ETHUSDT")
        assert (corrected["ledger_amt"], corrected["ledger_side"]) == ("3", "LONG")
        assert SetGauge("p33_ledger_amt", 3.0, ("ETHUSDT",)) in await ledgers.metrics.receive_all()
