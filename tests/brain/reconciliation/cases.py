"""Positions, ledgers, trades and orders to start an example from: one-way mode, the ledger flat and agreed.

The last agreement was at 1000 ms, the trades follow at 2000 ms, and the position is verified at 5000 ms.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

import msgspec

from brain.identifiers import ClientOrderId, OrderId, Symbol
from brain.ledger.ledger import StoredLedger
from brain.plans.permit import OpenPermit
from brain.positions.position import Leg, LegPosition
from brain.reconciliation.comparing import Comparison, compare
from brain.reconciliation.drift import Drift
from brain.reconciliation.evidence import Evidence, Growth, HistoricOrder, Trade
from brain.reconciliation.rules import DriftCause, ReconcileRules
from tests.brain.cases import NOW_MS

BTC = Symbol("BTCUSDT")
SINCE_MS, TRADED_MS, VERIFIED_MS = 1000, 2000, 5000
OWN = ClientOrderId("p33-0123456789abcdef0123456789abcdef")
ADOPTED = frozenset({DriftCause.LIQUIDATION, DriftCause.ADL, DriftCause.SETTLEMENT})

RULES = ReconcileRules(
    cadence_sec=1,
    exchange_freshness_sec=10,
    tolerance_pct=Decimal(1),
    evidence_window_sec=300,
    hold_ttl_sec=300,
    settle_sec=2,
    clear_after_sec=3,
    adopted=ADOPTED,
    hold_on_stale=False,
    closes_excess=True,
    close_after_sec=60,
    weight_per_min=60,
)


def one_way(amount: str) -> tuple[LegPosition, ...]:
    return (LegPosition(Leg.BOTH, Decimal(amount), None, SINCE_MS),)


def hedged(long: str, short: str) -> tuple[LegPosition, ...]:
    return (
        LegPosition(Leg.LONG, Decimal(long), None, SINCE_MS),
        LegPosition(Leg.SHORT, Decimal(short), None, SINCE_MS),
    )


def stored(amount: str, long: str | None = None, short: str | None = None) -> StoredLedger:
    return StoredLedger(last_known_amt=amount, long_amt=long, short_amt=short)


def comparison(
    legs: tuple[LegPosition, ...], ledger: StoredLedger, permits: Iterable[OpenPermit] = (), **changes: Any
) -> Comparison:
    usual: dict[str, Any] = {"now_ms": NOW_MS, "step": Decimal("0.001"), "tolerance_pct": Decimal(1)}
    return compare(BTC, legs, ledger, "7", permits, **(usual | changes))


def drift(exchange: str, ledger: str) -> Drift:
    """A one-way drift."""
    return drift_of(one_way(exchange), stored(ledger))


def drift_of(legs: tuple[LegPosition, ...], ledger: StoredLedger) -> Drift:
    found = comparison(legs, ledger).drift
    assert found is not None
    return found


def order(
    order_id: str, side: str, cumulative: str, client_order_id: str = OWN, **changes: Any
) -> HistoricOrder:
    """An order placed since the agreement and last filled when its trades were."""
    usual = HistoricOrder(
        order_id=OrderId(order_id),
        client_order_id=ClientOrderId(client_order_id),
        side=side,
        leg=Leg.BOTH,
        cumulative=Decimal(cumulative),
        conditional=False,
        placed_ms=SINCE_MS + 1,
        updated_ms=TRADED_MS,
    )
    return msgspec.structs.replace(usual, **changes)


def trades_of(orders: Iterable[HistoricOrder]) -> tuple[Trade, ...]:
    """One trade an order, of all that it has filled."""
    return tuple(
        Trade(number, each.order_id, each.side, each.leg, each.cumulative, TRADED_MS)
        for number, each in enumerate(orders, start=1)
    )


def evidence(*orders: HistoricOrder, memories: Mapping[str, str] | None = None, **changes: Any) -> Evidence:
    """Complete evidence of these orders, each with one trade; the order of `OWN` has a record."""
    usual = Evidence(
        trades=trades_of(orders),
        orders={each.order_id: each for each in orders},
        memories={OrderId(name): f"{quantity}|1" for name, quantity in (memories or {}).items()},
        recorded=frozenset({OWN}),
        complete=True,
        since_ms=SINCE_MS,
        verified_ms=VERIFIED_MS,
    )
    return msgspec.structs.replace(usual, **changes)


def growth(cause: DriftCause, side: str, quantity: str, **changes: Any) -> Growth:
    """A growth as weighing returns it, of an order without memory."""
    usual = Growth(
        order_id=OrderId("1"),
        client_order_id=OWN,
        cause=cause,
        leg=Leg.BOTH,
        side=side,
        quantity=Decimal(quantity),
        cumulative=Decimal(quantity),
        time_ms=TRADED_MS,
        trade_ids=(1,),
    )
    return msgspec.structs.replace(usual, **changes)
