"""Conditions that a person is notified of, computed from the whole status: pure, level by level.

A condition fires for as long as it holds, and has no memory: `monitoring/notices.py` keeps since when.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum

import msgspec

from brain.execution.switches import TradingState
from brain.reconciliation.case_life import CaseStatus
from monitoring.status.document import StatusDocument
from monitoring.status.reconcile import CaseShown, ReconcileShown
from monitoring.status.whole import WholeStatus
from page.words import duration
from supervision import NodeStatus

#: A service that starts is not ready for some seconds.
STARTING_SEC = 15.0
#: As the alert P33AllPermitsDenied counts them.
_FEWEST_DENIED = 5
#: Part of a restart limit from which on it is near.
_NEARLY = 0.7
_MOST_REASONS = 3


class NoticeKind(StrEnum):
    """Kind of a condition. The order is that of their urgency."""

    NOT_READY = "not_ready"
    BAN = "ban"
    RESTART_LIMIT = "restart_limit"
    DISARM = "disarm"
    UNKNOWN_EXECUTION = "unknown_execution"
    CASE = "case"
    DIVERGENCE = "divergence"
    ALL_DENIED = "all_denied"


#: Kinds that concern this instance: a standby notifies of them, too.
OF_THE_INSTANCE = frozenset({NoticeKind.NOT_READY, NoticeKind.BAN, NoticeKind.RESTART_LIMIT})
#: The subject that notices of a kind have; those of the other kinds have none.
SUBJECTS: Mapping[NoticeKind, str] = {
    NoticeKind.RESTART_LIMIT: "a group of actors",
    NoticeKind.UNKNOWN_EXECUTION: "a plan",
    NoticeKind.CASE: "a symbol such as BTCUSDT",
    NoticeKind.DIVERGENCE: "a symbol such as BTCUSDT",
}
OF_A_SYMBOL = frozenset({NoticeKind.CASE, NoticeKind.DIVERGENCE})
_URGENCY = {kind: number for number, kind in enumerate(NoticeKind)}


class Firing(msgspec.Struct, frozen=True):
    """A condition that holds now. `subject` is a symbol, a plan, a group of actors, or empty."""

    kind: NoticeKind
    subject: str
    text: str

    @property
    def key(self) -> tuple[NoticeKind, str]:
        """The identity of the condition: its text changes, this does not."""
        return self.kind, self.subject


def firing(whole: WholeStatus) -> list[Firing]:
    """Return what fires, the most urgent first; each kind and subject once.

    What an instance without the lease knows of the account is outdated: it fires there for itself alone.
    """
    status = whole.document
    found = [*_not_ready(whole), *_ban(status), *_restart_limits(status.tree)]
    if status.lease.held:
        found += _disarm(status)
        found += _unknown_executions(status)
        found += _cases(status)
        found += _divergences(status)
        found += _all_denied(status)
    return list({each.key: each for each in found}.values())


def urgency(key: tuple[NoticeKind, str]) -> tuple[int, str]:
    """Return a sort key: the most urgent kind first, then by subject."""
    kind, subject = key
    return _URGENCY[kind], subject


def _not_ready(whole: WholeStatus) -> Iterator[Firing]:
    """Yield one where plans cannot be decided, but for a start, a stop and a standby in order."""
    status, faults = whole.document, whole.faults
    if faults and status.uptime_sec >= STARTING_SEC and status.tree.state != "stopping":
        more = len(faults) - _MOST_REASONS
        reasons = "; ".join(faults[:_MOST_REASONS])
        yield Firing(NoticeKind.NOT_READY, "", reasons + (f"; and {more} more reasons" if more > 0 else ""))


def _ban(status: StatusDocument) -> Iterator[Firing]:
    left_sec = status.weight.ban_left_sec
    if left_sec is not None and left_sec > 0:
        yield Firing(NoticeKind.BAN, "", f"the exchange refuses requests for another {duration(left_sec)}")


def _restart_limits(node: NodeStatus) -> Iterator[Firing]:
    allowed = node.failures_allowed
    if allowed and node.recent_failures >= allowed * _NEARLY:
        yield Firing(
            NoticeKind.RESTART_LIMIT,
            node.name,
            f"{node.recent_failures} recent failures in {node.name}, the limit is {allowed}",
        )
    for child in node.children:
        yield from _restart_limits(child)


def _disarm(status: StatusDocument) -> Iterator[Firing]:
    roles = status.roles
    governor = msgspec.UNSET if isinstance(roles, msgspec.UnsetType) else roles.governor
    if isinstance(governor, msgspec.UnsetType) or governor.mode != "on" or governor.disarmed is None:
        return
    if governor.trading_state != TradingState.ACTIVE:
        yield Firing(
            NoticeKind.DISARM, "", f"trading is {governor.trading_state}: auto-disarm, {governor.disarmed}"
        )


def _unknown_executions(status: StatusDocument) -> Iterator[Firing]:
    for each in status.unknown_executions.executions:
        yield Firing(
            NoticeKind.UNKNOWN_EXECUTION,
            each.plan_id,
            f"{each.symbol}: it is not known whether the order of plan {each.plan_id} was filled, "
            f"since {each.since}",
        )
    if isinstance(status.open_executions, msgspec.UnsetType):
        return
    for own in status.open_executions.executions:
        held = "is held" if own.held else "is not held"
        yield Firing(
            NoticeKind.UNKNOWN_EXECUTION,
            own.plan_id,
            f"{own.symbol} {held}: it is not known whether plan {own.plan_id} has an order, "
            f"for {duration(own.age_sec)}",
        )


def _reconcile(status: StatusDocument) -> ReconcileShown | None:
    roles = status.roles
    reconcile = msgspec.UNSET if isinstance(roles, msgspec.UnsetType) else roles.reconcile
    return None if isinstance(reconcile, msgspec.UnsetType) or reconcile.mode != "on" else reconcile


def _cases(status: StatusDocument) -> Iterator[Firing]:
    reconcile = _reconcile(status)
    for case in () if reconcile is None else reconcile.cases:
        if case.held or case.held_by is not None or _needs_a_person(case):
            state = "needs a person" if _needs_a_person(case) else "is held"
            why = f": {case.why}" if case.why else ""
            yield Firing(
                NoticeKind.CASE,
                case.symbol,
                f"{case.symbol} {state}, exchange {case.exchange}, ledger {case.ledger or 'missing'}{why}",
            )


def _needs_a_person(case: CaseShown) -> bool:
    return case.status == CaseStatus.MANUAL_REQUIRED


def _divergences(status: StatusDocument) -> Iterator[Firing]:
    """Yield ledgers that differ for 5 s or more, but for those with a case that fires itself."""
    with_case = {each.subject for each in _cases(status)}
    for each in status.ledgers.mismatches:
        if each.symbol not in with_case:
            where = f"{each.symbol} {each.leg}" if each.leg else each.symbol
            yield Firing(
                NoticeKind.DIVERGENCE,
                each.symbol,
                f"{where}: the exchange has {each.exchange}, the ledger {each.ledger or 'nothing'}, "
                f"for {duration(each.apart_sec)}",
            )


def _all_denied(status: StatusDocument) -> Iterator[Firing]:
    recent = status.gates.last_5_min
    if recent.allow == 0 and recent.deny >= _FEWEST_DENIED:
        reason, count = next(iter(recent.deny_by_reason.items()))
        yield Firing(
            NoticeKind.ALL_DENIED,
            "",
            f"all {recent.deny} plans of the last 5 min were denied, {count} of them for {reason}",
        )
