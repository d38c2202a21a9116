"""Plans whose symbol has no snapshot that they could rest on: one read, and what operators read of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import pytest
import trio
from structlog.testing import capture_logs

from brain.symbols.allowlist import Allowlist, AllowlistSource
from brain.symbols.symbol_rules import SymbolRules
from store.records import DecisionCommit
from tests.actors.evaluator_rig import EvaluatorRig, running_evaluator
from tests.background import background
from tests.virtual_time import virtual_time

pytestmark = virtual_time


PLAN = "0123456789abcdef"
READ = "BTCUSDT: On-demand snapshot (missing during permit check)"


def lines(logs: Sequence[Mapping[str, Any]], *words: str) -> list[str]:
    """The lines with any of `words`, in order."""
    logged = [str(entry["event"]) for entry in logs]
    return [line for line in logged if any(word in line for word in words)]


async def on_demand_lines(rig: EvaluatorRig, answer: str | None) -> tuple[list[str], float]:
    """The lines about a plan without a snapshot, and the counter; `answer` is what its read comes to."""

    def read(symbol: str) -> str | None:
        if answer is None:
            rig.position(symbol, "1")
        return answer

    rig.ledger("BTCUSDT", "1")
    with capture_logs() as logs:
        async with running_evaluator(rig), background(rig.answer_reads, 0.3, read):
            rig.publish(PLAN)
            await trio.sleep(2)
            assert rig.audited() == [PLAN]
    counted = (await rig.counts()).get("p33_ondemand_snapshots_total", 0)
    return lines(logs, "On-demand", "on-demand", "SNAPSHOT_MISS"), counted


async def test_a_plan_decided_again_stays_before_one_that_waits_for_a_read(rig: EvaluatorRig) -> None:
    """The first answer needs no position, but rests on a cooldown that the evaluator does not know yet."""
    rig.allowlist.send(Allowlist(AllowlistSource.ENV, False, frozenset({"ETHUSDT"}), None, None))
    rig.ledger("BTCUSDT", "1")
    rig.redis.set(rig.keys.cooldown("BTCUSDT"), "1")
    async with running_evaluator(rig), background(rig.answer_reads, 0.3, lambda _: "it does not answer"):
        rig.publish_entry("first")
        rig.publish("second")
        await trio.sleep(1)
        assert (rig.reason("first"), rig.reason("second")) == (
            "symbol_not_in_allowlist",
            "no_exchange_snapshot",
        )
        assert rig.audited() == ["first", "second"]


async def test_a_slow_read_holds_up_its_own_symbol_alone_and_keeps_its_order(rig: EvaluatorRig) -> None:
    rig.ledger("BTCUSDT", "1")
    rig.holds("ETHUSDT", "1")
    async with running_evaluator(rig), background(rig.show_reads, 0.6, "1"):
        rig.publish("slow-1", action="PARTIAL_50")
        rig.publish("quick", "ETHUSDT")
        await trio.sleep(0.1)
        rig.publish("slow-2")
        await trio.sleep(0.1)
        assert rig.audited() == ["quick"]
        await trio.sleep(0.6)
        assert rig.audited() == ["quick", "slow-1", "slow-2"]
        assert [rig.answer(plan)["safe_close_qty"] for plan in ("slow-1", "slow-2")] == [0.5, 0.5]


@pytest.mark.parametrize("latency_sec", [0.3, 60], ids=["HTTP 502", "no answer"])
async def test_a_read_that_fails_denies_all_plans_that_wait_for_it_within_a_second(
    rig: EvaluatorRig, latency_sec: float
) -> None:
    async with running_evaluator(rig), background(rig.answer_reads, latency_sec, lambda _: "HTTP 502"):
        for number in range(5):
            rig.publish(f"p{number}")
        await trio.sleep(1)
        assert [rig.reason(f"p{number}") for number in range(5)] == ["no_exchange_snapshot"] * 5


async def test_plans_that_come_during_a_failing_read_keep_their_order(rig: EvaluatorRig) -> None:
    async def slowly(decisions: Sequence[DecisionCommit]) -> None:
        await trio.sleep(0.1)

    rig.store.before_commit = slowly
    async with running_evaluator(rig), background(rig.answer_reads, 0.3, lambda _symbol: "HTTP 502"):
        rig.publish("a")
        await trio.sleep(0.2)
        rig.publish("b")  # a is being read
        await trio.sleep(0.15)
        rig.publish("c")  # a is being committed
        await trio.sleep(2)
        assert rig.audited() == ["a", "b", "c"]


async def test_without_on_demand_reads_a_missing_snapshot_is_a_deny_at_once() -> None:
    rig = EvaluatorRig(on_demand=False)
    async with running_evaluator(rig):
        rig.publish("p")
        await trio.sleep(0.01)
        assert rig.reason("p") == "no_exchange_snapshot"


async def test_a_snapshot_from_before_trust_was_lost_is_read_again(rig: EvaluatorRig) -> None:
    rig.holds("BTCUSDT", "1")
    async with running_evaluator(rig), background(rig.show_reads, 0.3, "1"):
        await trio.sleep(0.1)
        rig.book.lose_trust(rig.clock.now())
        rig.publish("p")
        await trio.sleep(0.2)
        assert rig.permit("p") is None
        await trio.sleep(0.2)
        assert rig.reason("p") == "sanity_checks_passed"


async def test_a_symbol_that_the_exchange_does_not_trade_costs_no_read(rig: EvaluatorRig) -> None:
    allowed = frozenset({"NOPEUSDT", "BTCUSDT"})
    rig.allowlist.send(Allowlist(AllowlistSource.ENV, False, allowed, None, None))
    async with running_evaluator(rig):
        rig.publish("close", "NOPEUSDT")
        rig.publish_entry("open", "NOPEUSDT")
        await trio.sleep(0.01)
        assert rig.reason("close") == rig.reason("open") == "symbol_not_on_exchange"
        assert rig.reads.depth == 0


async def test_a_missing_snapshot_is_read_on_demand_with_one_line_and_one_count(rig: EvaluatorRig) -> None:
    assert await on_demand_lines(rig, None) == ([READ], 1)
    assert rig.reason(PLAN) == "sanity_checks_passed"


async def test_a_read_that_fails_is_a_miss_that_was_attempted() -> None:
    logged, counted = await on_demand_lines(EvaluatorRig(), "HTTP 502")
    assert logged == [
        "BTCUSDT: on-demand read failed",
        "P3.3_SNAPSHOT_MISS symbol=BTCUSDT plan=01234567 ondemand_enabled=true attempted=true",
    ]
    assert counted == 0


async def test_with_on_demand_reads_off_a_miss_says_so() -> None:
    logged, counted = await on_demand_lines(EvaluatorRig(on_demand=False), None)
    assert logged == [
        "P3.3_SNAPSHOT_MISS symbol=BTCUSDT plan=01234567 ondemand_enabled=false attempted=false"
    ]
    assert counted == 0


@pytest.mark.parametrize("state", ["stale", "from before trust was lost"])
async def test_a_snapshot_that_nothing_may_rest_on_is_missed_as_well(state: str) -> None:
    rig = EvaluatorRig(on_demand=False)
    rig.holds("BTCUSDT", "1")
    await trio.sleep(11 if state == "stale" else 1)
    if state != "stale":
        rig.book.lose_trust(rig.clock.now())
    logged, _ = await on_demand_lines(rig, None)
    assert logged == [
        "P3.3_SNAPSHOT_MISS symbol=BTCUSDT plan=01234567 ondemand_enabled=false attempted=false"
    ]


async def test_plans_that_share_a_read_are_one_read_and_a_miss_each() -> None:
    rig = EvaluatorRig()
    with capture_logs() as logs:
        async with running_evaluator(rig), background(rig.answer_reads, 0.3, lambda _symbol: "HTTP 502"):
            for plan_id in ("a", "b", "c"):
                rig.publish(plan_id)
            await trio.sleep(2)
    assert len(lines(logs, "on-demand read failed")) == 1
    assert lines(logs, "SNAPSHOT_MISS") == [
        f"P3.3_SNAPSHOT_MISS symbol=BTCUSDT plan={plan_id} ondemand_enabled=true attempted=true"
        for plan_id in ("a", "b", "c")
    ]


async def test_a_plan_of_an_unknown_symbol_waits_for_exchange_info_where_that_is_due(
    rig: EvaluatorRig,
) -> None:
    allowed = frozenset({"NEWUSDT", "NOPEUSDT"})
    rig.allowlist.send(Allowlist(AllowlistSource.ENV, False, allowed, None, None))
    async with running_evaluator(rig):
        await trio.sleep(6)
        rig.position("NEWUSDT", "0")
        rig.ledger("NEWUSDT", "0")
        rig.publish_entry("listed", "NEWUSDT")
        await trio.sleep(0.3)
        assert rig.permit("listed") is None
        assert rig.rules_wanted.depth == 1
        step = Decimal("0.1")
        listed = {"NEWUSDT": SymbolRules("NEWUSDT", True, step, step, Decimal(1000))}
        rig.symbol_rules.send({**(rig.symbol_rules.value or {}), **listed})
        rig.rules_asked_at.send(rig.clock.now())
        await trio.sleep(0.01)
        assert rig.reason("listed") == "open_permit_granted"
        for number in range(50):
            rig.publish_entry(f"nonsense-{number}", "NOPEUSDT")
        await trio.sleep(0.05)
        answers = {rig.reason(f"nonsense-{number}") for number in range(50)}
        assert answers == {"symbol_not_on_exchange"}, "exchangeInfo was read a moment ago"


async def test_a_plan_of_an_unknown_symbol_is_denied_in_time_where_exchange_info_does_not_come(
    rig: EvaluatorRig,
) -> None:
    rig.allowlist.send(Allowlist(AllowlistSource.ENV, False, frozenset({"NOPEUSDT"}), None, None))
    async with running_evaluator(rig):
        await trio.sleep(6)
        rig.publish_entry("unknown", "NOPEUSDT")
        rig.holds("BTCUSDT", "1")
        rig.publish("other")
        await trio.sleep(0.01)
        assert rig.permit("other") is not None, "other symbols are not held up"
        await trio.sleep(0.95)
        assert rig.reason("unknown") == "symbol_not_on_exchange"
