"""The reconcile engine in `/status` and on the page: open cases, their evidence, what a person can do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from brain.moment import iso_utc
from brain.numbers import plain
from brain.positions.position import Leg
from brain.reconciliation.case_life import CaseStatus
from brain.reconciliation.drift import LegAmounts, drift_numbers
from brain.reconciliation.evidence import Growth
from channels import Channels, OpenCase, ReconcileNow
from monitoring.status.acting import obstacle_of
from settings import Settings

#: Begin of what an engine waits for while another one works (`actors/reconcile_engine/other_engines.py`).
_ANOTHER = "another reconcile engine has "
_MOST_ORDERS = 20
_MOST_REPAIRED = 20
_MOST_WARNINGS = 3


class CaseOrder(msgspec.Struct, frozen=True, kw_only=True):
    """Fills of one order that the ledger lacks: `quantity` unsigned, `at` the latest of them."""

    order_id: str
    client_order_id: str
    cause: str
    leg: str
    side: str
    quantity: str
    cumulative: str
    at: str
    trades: int


class CaseLeg(msgspec.Struct, frozen=True):
    """Signed amounts of one leg of a hedge-mode account."""

    leg: str
    exchange: str
    ledger: str


class CaseShown(msgspec.Struct, frozen=True, kw_only=True):
    """An open case, with the fields of `reconcile:state`; amounts are signed, `for_sec` since first seen.

    `legs` is empty in one-way mode. `held_by`: the owner of another's hold, null where none stands, empty
    where the hold names none. `orders_left_out`: earlier ones that `orders` does not show. `next_look_sec` is
    null where the evidence is not looked at again by itself.
    """

    symbol: str
    status: str
    reason: str
    cause: str
    exchange: str
    ledger: str | None
    difference: str
    percent: str
    legs: list[CaseLeg]
    since: str
    for_sec: float
    held: bool
    held_by: str | None
    why: str
    advice: str
    orders: list[CaseOrder]
    orders_left_out: int
    looks: int
    next_look_sec: float | None


class RepairShown(msgspec.Struct, frozen=True):
    """The latest repair of a symbol: `moved` is the signed sum that was booked."""

    symbol: str
    at: str
    moved: str


class ReconcileShown(msgspec.Struct, frozen=True, kw_only=True):
    """The reconcile engine: `mode` is `on` or `shadow`, `doing` a sentence, `waits_for` another engine.

    The others are null or empty while this instance compares nothing under its lease. `cases`: those that
    need a person first, then by age; `/status` ends after 50. `repaired` are the latest 20 symbols.
    """

    mode: str
    doing: str
    waits_for: str | None = None
    open_cases: int | None = None
    manual: int | None = None
    compared: int | None = None
    weight_1m: int | None = None
    weight_per_min: int | None = None
    cases: list[CaseShown] = []
    repaired: list[RepairShown] = []


def reconcile_shown(
    settings: Settings, channels: Channels, waits: Sequence[tuple[str, str]], now_ms: int
) -> ReconcileShown | msgspec.UnsetType:
    """Return the reconcile engine; unset where it is off.

    `waits`: the tree's, as (path, dependency). `now_ms`: Redis's clock.
    """
    if channels.reconcile is None:
        return msgspec.UNSET
    mode = settings.reconcile
    obstacle = obstacle_of("reconcile_engine", channels.lease.value, waits, begins=_ANOTHER)
    if obstacle is not None:
        return ReconcileShown(mode=mode, doing=obstacle.doing, waits_for=obstacle.waits_for)
    now = channels.reconcile.value
    if now is None:
        return ReconcileShown(mode=mode, doing="waits for ledgers and symbols to compare")
    manual = sum(case.status == CaseStatus.MANUAL_REQUIRED for case in now.cases)
    cases = sorted(now.cases, key=lambda case: case.status != CaseStatus.MANUAL_REQUIRED)
    repaired = sorted(now.repaired, key=lambda each: -each[1])[:_MOST_REPAIRED]
    return ReconcileShown(
        mode=mode,
        doing=_doing(mode, now, manual),
        open_cases=len(now.cases),
        manual=manual,
        compared=now.compared,
        weight_1m=now.weight_1m,
        weight_per_min=now.weight_per_min,
        cases=[_case(each, now_ms) for each in cases],
        repaired=[RepairShown(symbol, iso_utc(at_ms), plain(moved)) for symbol, at_ms, moved in repaired],
    )


def reconcile_problems(shown: ReconcileShown | msgspec.UnsetType) -> Iterator[str]:
    """Yield what the page warns of: the cases that need a person."""
    if isinstance(shown, msgspec.UnsetType) or shown.mode != "on" or not shown.manual:
        return
    manual = [case for case in shown.cases if case.status == CaseStatus.MANUAL_REQUIRED]
    for case in manual[:_MOST_WARNINGS]:
        yield f"{case.symbol} needs a person: {case.why}"
    if shown.manual > _MOST_WARNINGS:
        yield f"{shown.manual - _MOST_WARNINGS} more symbols need a person"


def with_a_case(shown: ReconcileShown | msgspec.UnsetType) -> frozenset[str]:
    """Return the symbols that the page warns of as cases, and not besides as ledgers that differ."""
    if isinstance(shown, msgspec.UnsetType) or shown.mode != "on":
        return frozenset()
    return frozenset(case.symbol for case in shown.cases if case.status == CaseStatus.MANUAL_REQUIRED)


def _doing(mode: str, now: ReconcileNow, manual: int) -> str:
    begin = "compares in its shadow" if mode == "shadow" else "compares"
    text = f"{begin} {_number(now.compared, 'symbol')}, {_number(len(now.cases), 'open case')}"
    if manual:
        text += f", {manual} of them for a person"
    return text


def _number(count: int, what: str) -> str:
    return f"{count or 'no'} {what}{'' if count == 1 else 's'}"


def _case(case: OpenCase, now_ms: int) -> CaseShown:
    numbers = drift_numbers(case.drift)
    return CaseShown(
        symbol=case.symbol,
        status=case.status,
        reason=case.drift.reason.value,
        cause=case.cause,
        exchange=plain(numbers.exchange),
        ledger=None if numbers.ledger is None else plain(numbers.ledger),
        difference=plain(numbers.difference),
        percent=plain(numbers.percent),
        legs=_legs(case.drift.legs),
        since=iso_utc(case.since_ms),
        for_sec=max(now_ms - case.since_ms, 0) / 1000,
        held=case.held,
        held_by=case.held_by,
        why=case.why,
        advice=case.advice,
        orders=[_order(each) for each in case.found[-_MOST_ORDERS:]],
        orders_left_out=max(len(case.found) - _MOST_ORDERS, 0),
        looks=case.looks,
        next_look_sec=case.next_look_sec,
    )


def _legs(legs: Sequence[LegAmounts]) -> list[CaseLeg]:
    if any(each.leg is Leg.BOTH for each in legs):
        return []
    return [CaseLeg(each.leg.value, plain(each.exchange), plain(each.ledger)) for each in legs]


def _order(growth: Growth) -> CaseOrder:
    return CaseOrder(
        order_id=growth.order_id,
        client_order_id=growth.client_order_id,
        cause=growth.cause.value,
        leg=growth.leg.value,
        side=growth.side,
        quantity=plain(growth.quantity),
        cumulative=plain(growth.cumulative),
        at=iso_utc(growth.time_ms),
        trades=len(growth.trade_ids),
    )
