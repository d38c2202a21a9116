"""Checks of a decision in the order of docs/contract.md: the first that denies decides."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from brain.decisions import entry_checks, position_checks
from brain.decisions.entry_checks import Judgement
from brain.decisions.facts import Facts
from brain.plans.permit import Kind


class Check(NamedTuple):
    """Check: its name in docs/contract.md, a predicate for the plans that it concerns, and its judgement."""

    name: str
    concerns: Callable[[Facts], bool]
    judge: Callable[[Facts], Judgement]


#: Bound once: up to Python 3.11, access to an enum member costs as much as ten attributes.
_OPEN, _ADD, _CLOSE, _NONE = Kind.OPEN, Kind.ADD, Kind.CLOSE, Kind.NONE


def all_plans(facts: Facts) -> bool:  # noqa: ARG001 - one signature for the column
    """Return True: the check concerns all plans."""
    return True


def _not_reconcile_close(facts: Facts) -> bool:
    return not facts.reconcile_close


def _closes_and_adds(facts: Facts) -> bool:
    return (facts.kind is _CLOSE or facts.kind is _ADD) and not facts.reconcile_close


def _orders(facts: Facts) -> bool:
    return facts.kind is not _NONE


def _orders_but_reconcile_close(facts: Facts) -> bool:
    return facts.kind is not _NONE and not facts.reconcile_close


CHECKS: tuple[Check, ...] = (
    Check("well-formed", all_plans, entry_checks.well_formed),
    Check("not expired", all_plans, entry_checks.not_expired),
    Check("not settled", all_plans, entry_checks.not_settled),
    # The first of two about a changed Redis: it goes by the entry alone.
    Check("survived", all_plans, entry_checks.survived),
    Check("allowlist", all_plans, entry_checks.allowlist),
    Check("on the exchange", all_plans, entry_checks.on_exchange),
    Check("hold", _not_reconcile_close, entry_checks.hold),
    Check("snapshot present", all_plans, entry_checks.snapshot_present),
    Check("fresh", all_plans, entry_checks.fresh),
    Check("leg", all_plans, entry_checks.leg),
    Check("kind", all_plans, position_checks.kind),
    # The second differs between opens and closes, so it needs the kind.
    Check("recovering", _orders, position_checks.not_recovering),
    Check("ledger side", _closes_and_adds, position_checks.ledger_side),
    Check("ledger quantity", _orders_but_reconcile_close, position_checks.ledger_quantity),
    Check("cooldown", _orders_but_reconcile_close, position_checks.cooldown),
    Check("in flight", _orders, position_checks.in_flight),
    Check("quantity", _orders, position_checks.quantity),
)
