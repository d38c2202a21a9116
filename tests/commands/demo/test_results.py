"""The service can read the results of the demo's executors."""

from __future__ import annotations

from decimal import Decimal
from random import Random

import pytest

from brain.ledger.result import ExecutedResult, RefusedResult, read_result
from brain.plans.intent import read_intent_symbol
from commands.demo.exchange_client import OrderAnswer, TradedSymbol
from commands.demo.intents import trade_intent
from commands.demo.plans import Fields, entry, harvest_exit, reconcile_close
from commands.demo.results import DIALECTS, executed, not_executed

_SYMBOL = TradedSymbol("BTCUSDT", Decimal("0.001"), Decimal("0.001"), Decimal(65000))
_ORDER = OrderAnswer(
    order_id=8389765531234567890, status="FILLED", side="SELL", executed_qty=Decimal("0.028")
)


def _random(seed: int) -> Random:
    return Random(seed)  # noqa: S311 - reproducible


def _plans() -> list[Fields]:
    rng = _random(1)
    return [
        entry(_SYMBOL, "SELL", Decimal("0.028"), rng, 1.0),
        harvest_exit(_SYMBOL, "PARTIAL_75", rng, 1.0),
        reconcile_close(_SYMBOL, "SELL", Decimal("0.028"), rng, 1.0),
    ]


def _bytes(fields: Fields) -> dict[bytes, bytes]:
    return {name.encode(): text.encode() for name, text in fields.items()}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_an_execution_is_read_as_the_same_order_in_each_dialect(dialect: str) -> None:
    for plan in _plans():
        result = read_result(_bytes(executed(plan, _ORDER, dialect, 2.0)))
        assert isinstance(result, ExecutedResult), result
        assert (result.plan_id, result.symbol) == (plan["plan_id"], "BTCUSDT")
        (order,) = result.orders
        assert (order.order_id, order.side) == ("8389765531234567890", "SELL")
        assert (order.cumulative, order.final) == (Decimal("0.028"), True)


def test_the_dialects_are_three_different_ones() -> None:
    plan = _plans()[0]
    results = [executed(plan, _ORDER, dialect, 2.0) for dialect in DIALECTS]
    assert ["steps_results" in one for one in results] == [True, False, False]
    assert ["filled_qty" in one for one in results] == [False, True, False]
    assert ["details" in one for one in results] == [False, False, True]


def test_a_plan_that_is_not_executed_is_read_as_refused() -> None:
    for seed in range(10):
        result = read_result(_bytes(not_executed(_plans()[0], "no Governor", _random(seed), 2.0)))
        assert isinstance(result, RefusedResult), result


def test_the_symbol_of_an_intent_is_found_in_each_dialect() -> None:
    plan = _plans()[0]
    intents = [trade_intent(plan, _random(seed)).fields for seed in range(20)]
    assert {tuple(one) for one in intents} >= {("payload",), ("data",)}
    assert {read_intent_symbol(_bytes(one)) for one in intents} == {"BTCUSDT"}
