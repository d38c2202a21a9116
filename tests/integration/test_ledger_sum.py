"""The ledger is the sum of our orders' fills, each counted once, however and how often it is reported."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from decimal import Decimal
from random import Random

import msgspec

from simulator import Order, RunningSimulator, external_events
from tests.integration.pipeline import RESULTS, executed
from tests.integration.site import Site
from tests.integration.surroundings import SYMBOLS, trade

RESULT_COUNT = 200
#: Long, short, bought and sold by turns; the last one is held from before the service first starts.
TRADED = SYMBOLS[:5]
HELD_BEFORE = TRADED[-1]


class OrderReport(msgspec.Struct, frozen=True):
    """An executor's report on an order at some moment."""

    plan_id: str
    symbol: str
    order_id: int
    side: str
    filled: Decimal
    status: str


def flat(report: OrderReport) -> dict[str, str]:
    return executed(report.plan_id, report.symbol, report.order_id, report.side, report.filled) | {
        "order_status": report.status
    }


def steps(report: OrderReport) -> dict[str, str]:
    placed = {"step": "PLACE_SL", "status": "NEW", "order_id": 1, "executed_qty": "0"}
    filled = {
        "step": "MARKET", "status": report.status, "order_id": report.order_id, "side": report.side,
        "executed_qty": str(report.filled),
    }  # fmt: skip
    return {
        "plan_id": report.plan_id, "symbol": report.symbol, "decision": "EXECUTE", "executed": "True",
        "would_execute": "False", "steps_results": json.dumps([placed, filled]), "error": "",
        "timestamp": f"{time.time():.3f}",
    }  # fmt: skip


def details(report: OrderReport) -> dict[str, str]:
    order = {
        "order_id": report.order_id, "order_status": report.status, "filled_qty": float(report.filled),
        "side": report.side,
    }  # fmt: skip
    return {
        "event_type": "order_executed", "plan_id": report.plan_id, "symbol": report.symbol,
        "executed": "true",
        "source": "intent_executor", "timestamp": f"{time.time():.3f}", "details": json.dumps(order),
    }  # fmt: skip


DIALECTS = (flat, steps, details)


def report_of(order: Order, number: int) -> OrderReport:
    return OrderReport(
        f"plan-{number}", order.symbol.name, order.order_id, order.side, order.executed, order.status
    )


def trade_at_random(simulator: RunningSimulator, random: Random, count: int) -> list[OrderReport]:
    """Place orders, every third filled in two parts; return an executor's possible reports on them."""
    exchange = simulator.exchange
    report: list[OrderReport] = []
    for number in range(count):
        symbol = exchange.symbol(random.choice(TRADED))
        side = random.choice(
            ("SELL", "SELL", "BUY") if symbol.name in TRADED[::2] else ("BUY", "BUY", "SELL")
        )
        quantity = symbol.step_size * random.randint(20, 60)
        while quantity * exchange.mark_price(symbol.name) < symbol.min_notional * 4:
            quantity *= 2
        exchange.first_fill_share = Decimal("0.3") if number % 3 == 0 else None
        order = trade(exchange, symbol.name, side, f"{quantity:f}")
        report.append(report_of(order, number))
        if not order.is_final:
            exchange.fill_remainder(order)
            report.append(report_of(order, number))
    return report


def sums(report: list[OrderReport]) -> dict[str, Decimal]:
    """Return the distinct orders, each with its largest reported fill, by symbol and signed."""
    most: dict[tuple[str, int], Decimal] = {}
    for each in report:
        signed = each.filled if each.side == "BUY" else -each.filled
        known = most.get((each.symbol, each.order_id), Decimal(0))
        most[each.symbol, each.order_id] = max(known, signed, key=abs)
    total: dict[str, Decimal] = defaultdict(Decimal)
    for (symbol, _), signed in most.items():
        total[symbol] += signed
    return dict(total)


def plain(amount: Decimal) -> str:
    """Without exponent and needless zeros."""
    text = f"{amount:f}"
    return (text.rstrip("0").rstrip(".") if "." in text else text) or "0"


async def test_two_hundred_results_in_mixed_dialects_a_third_repeated_are_the_sum_of_the_distinct_ones(
    site: Site,
) -> None:
    random = Random(1)  # noqa: S311 - the same trades in every run
    exchange = site.exchange
    external_events.move_position(exchange, HELD_BEFORE, target=Decimal(-50))
    async with site.service() as service:
        report = trade_at_random(site.simulator, random, 99)
        report += random.choices(report, k=RESULT_COUNT - len(report))
        assert len(report) == RESULT_COUNT
        assert len(set(report)) <= RESULT_COUNT * 2 / 3
        random.shuffle(report)
        for each in report:
            site.publish_result(random.choice(DIALECTS)(each))
        await site.nothing_pends(RESULTS, within_sec=30)

        expected = sums(report)
        expected[HELD_BEFORE] += -50
        for symbol, amount in expected.items():
            assert amount == exchange.position(symbol).amount
            ledger = site.ledger(symbol)
            side = "LONG" if amount > 0 else "SHORT"
            assert (symbol, ledger["last_known_amt"], ledger["ledger_amt"]) == (
                symbol, plain(amount), plain(amount),
            )  # fmt: skip
            assert (ledger["last_known_side"], ledger["ledger_side"]) == (side, side)
        assert {site.ledger(symbol)["last_known_side"] for symbol in expected} == {"LONG", "SHORT"}
        assert site.dead_letters(RESULTS) == []
        assert service.restarts() == {}


async def test_a_smaller_fill_reported_after_a_larger_one_takes_nothing_back(site: Site) -> None:
    exchange = site.exchange
    exchange.first_fill_share = Decimal("0.3")
    async with site.service():
        order = trade(exchange, "ETHUSDT", "SELL", "1")
        partly = report_of(order, 1)
        assert (partly.filled, partly.status) == (Decimal("0.3"), "PARTIALLY_FILLED")
        exchange.fill_remainder(order)
        for each in (report_of(order, 1), partly, report_of(order, 1), partly):
            for dialect in DIALECTS:
                site.publish_result(dialect(each))
        await site.nothing_pends(RESULTS)
        assert site.ledger_amount("ETHUSDT") == "-1"
        assert site.ledger("ETHUSDT")["version"] == "2"


async def test_a_result_that_was_not_executed_moves_nothing(site: Site) -> None:
    async with site.service():
        refused = executed("plan", "ETHUSDT", "5", "BUY", "1")
        for negative in ("False", "false", "0"):
            site.publish_result(refused | {"executed": negative})
        await site.nothing_pends(RESULTS)
        assert site.ledger_amount("ETHUSDT") == "0"
