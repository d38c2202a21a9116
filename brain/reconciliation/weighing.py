"""Weighing of evidence: the fills that the ledger lacks, and whether they explain the drift exactly.

1. Both agreed at `since_ms`: the ledger contains every trade until then, and what results have booked since.
   So it does those of `contained_ms`, whenever that is.
2. So an order's growth is what it has filled since then, at most as much as its order memory lacks.
3. The exchange's amount of each drifted leg is the agreed one and all trades since. Where it is not, trades
   are missing, or the agreement was another: then a sum that comes out does so by chance.
4. The sum comes out if ledger and growth make the exchange's amount on each drifted leg, to the last digit.
   A trade of the agreement's very millisecond may be one of those or of these: the sum tells. Where both sums
   come out, such trades make nothing together, and to name them does no harm.
5. Afterwards an order's whole cumulative quantity is remembered as booked, or its late result would be booked
   on top: all of it has to be in the ledger then. An order placed since the agreement has all in its trades.
   An older one has more, from before: it must be as new as its trades, and unchanged since `verified_ms`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal

from msgspec.structs import replace

from brain.execution.orders import OWN_PREFIX
from brain.identifiers import ClientOrderId, OrderId
from brain.ledger.order_events import Cause, cause_of
from brain.ledger.order_memory import UnreadableRecordError, decode_memory
from brain.numbers import EXACT, ZERO, plain
from brain.positions.position import Leg
from brain.reconciliation.drift import Drift, LegAmounts
from brain.reconciliation.evidence import (
    Evidence,
    Explained,
    Finding,
    Gap,
    Growth,
    HistoricOrder,
    Trade,
    Unexplained,
)
from brain.reconciliation.rules import OWN_CAUSES, DriftCause

_EXCHANGE_CAUSES = {
    Cause.LIQUIDATION: DriftCause.LIQUIDATION,
    Cause.ADL: DriftCause.ADL,
    Cause.SETTLEMENT: DriftCause.SETTLEMENT,
}


class _GapError(Exception):
    def __init__(self, gap: Gap, why: str) -> None:
        super().__init__(why)
        self.gap = gap


def weigh(drift: Drift, evidence: Evidence, adopted: frozenset[DriftCause]) -> Finding:
    """Return what the evidence proves of a drift.

    `adopted`: causes that are booked besides the own ones. All growth on the drifted legs counts for the sum,
    whatever its cause; trades on others are no part of it.
    """
    if not evidence.complete:
        return Unexplained("not every page of the exchange's trades was read", gap=Gap.PAGES)
    if not any(trade.time_ms == evidence.since_ms for trade in evidence.trades):
        return _weigh(drift, evidence, adopted)
    with_those = _weigh(drift, replace(evidence, since_ms=evidence.since_ms - 1), adopted)
    if isinstance(with_those, Explained) or with_those.gap is not None:
        return with_those
    without = _weigh(drift, evidence, adopted)
    return without if isinstance(without, Explained) else with_those


def _weigh(drift: Drift, evidence: Evidence, adopted: frozenset[DriftCause]) -> Finding:
    booked = (adopted | OWN_CAUSES) - {DriftCause.RECONCILE_CLOSE, DriftCause.NONE}
    growths: list[Growth] = []
    gaps: list[_GapError] = []
    traded = _by_order(drift, evidence)
    for order_id, trades in traded.items():
        try:
            growth = _growth(order_id, trades, evidence, booked)
        except _GapError as error:
            gaps.append(error)
            growth = _unattributed(order_id, trades)
        if growth.quantity:
            growths.append(growth)
    growths.sort(key=lambda growth: growth.time_ms)
    found = tuple(growths)
    if gaps:
        return Unexplained(str(gaps[0]), found, gaps[0].gap)
    for each in drift.drifted:
        if _with_growth(each, found) != each.exchange:
            return Unexplained(_missing(each, found), found)
        if (unaccounted := _unaccounted(each, traded, evidence)) is not None:
            return Unexplained(unaccounted, found)
    return Explained(
        adopted=tuple(each for each in found if each.cause in booked),
        foreign=tuple(each for each in found if each.cause not in booked),
    )


def cause_of_order(order: HistoricOrder, evidence: Evidence) -> DriftCause:
    """Return the cause of an order's trades, by its client order id first."""
    client_order_id = order.client_order_id
    if client_order_id in evidence.closing or _is_remembered_as_close(order.order_id, evidence):
        return DriftCause.RECONCILE_CLOSE
    if client_order_id.startswith(OWN_PREFIX):
        recorded = client_order_id in evidence.recorded
        return DriftCause.OWN_UNBOOKED if recorded else DriftCause.OWN_ORPHAN
    named = _EXCHANGE_CAUSES.get(cause_of(client_order_id))
    if named is not None:
        return named
    if order.order_id in evidence.memories:
        return DriftCause.OWN_UNBOOKED
    return DriftCause.STOP if order.conditional else DriftCause.MANUAL


def causes_of(growths: Iterable[Growth]) -> tuple[DriftCause, ...]:
    """Return the causes of growths, each once, in the order of `DriftCause`; `none` for no growth."""
    present = {growth.cause for growth in growths}
    return tuple(cause for cause in DriftCause if cause in present) or (DriftCause.NONE,)


def cause_of_finding(finding: Finding) -> DriftCause:
    """Return the one cause by which a case is counted: the first that waits for a person, else the first."""
    if isinstance(finding, Unexplained):
        return DriftCause.NONE
    return causes_of(finding.foreign or finding.adopted)[0]


def _by_order(drift: Drift, evidence: Evidence) -> Mapping[OrderId, list[Trade]]:
    """Group the trades of the drifted legs since the last agreement, each counted once, by order."""
    legs = {each.leg for each in drift.drifted}
    since_ms, but_ms = evidence.since_ms, evidence.contained_ms
    trades = {each.trade_id: each for each in evidence.trades if since_ms < each.time_ms != but_ms}
    grouped: dict[OrderId, list[Trade]] = {}
    for each in trades.values():
        if each.leg in legs:
            grouped.setdefault(each.order_id, []).append(each)
    return grouped


def _growth(
    order_id: OrderId, trades: list[Trade], evidence: Evidence, booked: frozenset[DriftCause]
) -> Growth:
    """Return what an order has filled since the last agreement and no result has booked."""
    latest_ms = max(each.time_ms for each in trades)
    if latest_ms > evidence.verified_ms:
        why = f"order {order_id} has filled since the compared position was read"
        raise _GapError(Gap.POSITION_BEHIND, why)
    order = evidence.orders.get(order_id)
    if order is None:
        raise _GapError(Gap.ORDER_NOT_SHOWN, f"the exchange does not show order {order_id} of its trades yet")
    if any(each.side != order.side or each.leg is not order.leg for each in trades):
        raise _GapError(Gap.CONTRADICTION, f"order {order_id} is on another side or leg than its trades")
    cause = cause_of_order(order, evidence)
    unbooked = _sum(each.quantity for each in trades)
    # The results of a RECONCILE_CLOSE are remembered, too, and move no ledger.
    if cause is not DriftCause.RECONCILE_CLOSE and (cause in booked or order_id in evidence.memories):
        remembered = _remembered(order_id, evidence)
        # No result will come of an order that is not ours: it is enough to have its trades.
        known_before = remembered if cause in OWN_CAUSES else order.cumulative
        _require_same_moment(order, trades, known_before, evidence)
        unbooked = min(unbooked, max(ZERO, EXACT.subtract(order.cumulative, remembered)))
    return Growth(
        order_id=order_id,
        client_order_id=order.client_order_id,
        cause=cause,
        leg=order.leg,
        side=order.side,
        quantity=unbooked,
        cumulative=order.cumulative,
        time_ms=latest_ms,
        trade_ids=tuple(sorted(each.trade_id for each in trades)),
    )


def _require_same_moment(
    order: HistoricOrder, trades: list[Trade], known_before: Decimal, evidence: Evidence
) -> None:
    """Raise _GapError unless all that the order has filled is in its trades, or in the ledger before them.

    `known_before`: so much need not be confirmed by the order's date (contracts).
    """
    name, shown = f"order {order.order_id}", plain(order.cumulative)
    filled = _sum(each.quantity for each in trades)
    earlier = EXACT.subtract(order.cumulative, filled)
    if earlier < 0:
        why = f"{name} is shown with {shown}, its trades with {plain(filled)}"
        raise _GapError(Gap.ORDER_BEHIND, why)
    if order.placed_ms > evidence.since_ms:
        if earlier:
            why = f"{name} is shown with {shown}, its trades with {plain(filled)}"
            raise _GapError(Gap.TRADES_BEHIND, why)
        return
    latest_ms = max(each.time_ms for each in trades)
    at_once = sum(each.time_ms == latest_ms for each in trades)
    # Of several fills in one millisecond, an order of that date may show only some.
    unconfirmed = earlier > known_before and at_once > 1 and order.updated_ms == latest_ms
    if order.updated_ms < latest_ms or unconfirmed:
        raise _GapError(Gap.ORDER_BEHIND, f"{name} is shown as before its latest trade")
    if order.updated_ms >= evidence.verified_ms:
        raise _GapError(Gap.POSITION_BEHIND, f"{name} has changed since the compared position was read")


def _unattributed(order_id: OrderId, trades: list[Trade]) -> Growth:
    """Return the trades of an order that cannot be weighed, for those who look at the case."""
    filled = _sum(each.quantity for each in trades)
    return Growth(
        order_id=order_id,
        client_order_id=ClientOrderId(""),
        cause=DriftCause.NONE,
        leg=trades[0].leg,
        side=trades[0].side,
        quantity=filled,
        cumulative=filled,
        time_ms=max(each.time_ms for each in trades),
        trade_ids=tuple(sorted(each.trade_id for each in trades)),
    )


def _remembered(order_id: OrderId, evidence: Evidence) -> Decimal:
    stored = evidence.memories.get(order_id)
    try:
        return ZERO if stored is None else decode_memory(stored).cumulative
    except UnreadableRecordError as error:
        raise _GapError(Gap.MEMORY_UNREADABLE, f"order {order_id}: {error}") from None


def _is_remembered_as_close(order_id: OrderId, evidence: Evidence) -> bool:
    stored = evidence.memories.get(order_id)
    try:
        return stored is not None and decode_memory(stored).closes
    except UnreadableRecordError:
        return False


def _with_growth(amounts: LegAmounts, growths: Iterable[Growth]) -> Decimal:
    added = _sum(growth.signed for growth in growths if growth.leg is amounts.leg)
    return EXACT.add(amounts.ledger, added)


def _missing(amounts: LegAmounts, growths: tuple[Growth, ...]) -> str:
    """Return in words by how much the sum of a leg misses the exchange's amount."""
    on_leg = _on_leg(amounts)
    exchange, ledger = plain(amounts.exchange), plain(amounts.ledger)
    found = [growth for growth in growths if growth.leg is amounts.leg]
    if not found:
        return f"no trade since the last agreement explains exchange {exchange} and ledger {ledger}{on_leg}"
    total = plain(_with_growth(amounts, found))
    return f"ledger {ledger} and the trades found make {total}, the exchange has {exchange}{on_leg}"


def _unaccounted(
    amounts: LegAmounts, traded: Mapping[OrderId, list[Trade]], evidence: Evidence
) -> str | None:
    """Return in words that agreed amount and trades do not make the exchange's; None where they do."""
    agreed = evidence.agreed.get(amounts.leg)
    if agreed is None:
        return None
    trades = (trade for each in traded.values() for trade in each if trade.leg is amounts.leg)
    total = EXACT.add(agreed, _sum(trade.signed for trade in trades))
    if total == amounts.exchange:
        return None
    on_leg, exchange = _on_leg(amounts), plain(amounts.exchange)
    return f"{plain(agreed)} and all trades since make {plain(total)}, the exchange has {exchange}{on_leg}"


def _on_leg(amounts: LegAmounts) -> str:
    return "" if amounts.leg is Leg.BOTH else f" on {amounts.leg}"


def _sum(numbers: Iterable[Decimal]) -> Decimal:
    total = ZERO
    for number in numbers:
        total = EXACT.add(total, number)
    return total
