"""Parser of `apply.plan` entries: both publishers' dialects, any bytes in any field.

Fields are checked one by one. The first check of a decision compares them with each other (a full close with
`reduceOnly=false`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import TypeVar

from brain.identifiers import PlanId, Symbol, given, is_symbol, plan_id_text
from brain.numbers import NotANumberError, parse_decimal_down
from brain.plans.plan import MalformedPlan, Plan, PlanDecision, Side, SkippedPlan, UnanswerablePlan
from brain.positions.position import Leg

#: Longest entry (bytes), field names included.
LARGEST_ENTRY = 16 * 1024
LARGEST_FIELD = 4 * 1024

_OTHER_SERVICES_IDS = ("p33:", "p26:")
_NUMBER = re.compile(r"[+-]?[0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?|[+-]?\.[0-9]+", re.ASCII)
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}
_DECISIONS = {member.value: member for member in PlanDecision}
_SIDES = {member.value: member for member in Side}
_LEGS = {member.value: member for member in Leg}
_EVAL_TYPES = {"ENTRY": "ENTRY", "EXIT": "EXIT"}
#: Fields that no decision uses, but executors read.
_BYSTANDERS = (b"price", b"leverage", b"stop_loss", b"take_profit")

T = TypeVar("T")
Problems = dict[str, str]


def read_plan(fields: Mapping[bytes, bytes]) -> Plan | SkippedPlan | MalformedPlan | UnanswerablePlan:
    """Parse an entry of `apply.plan` of any bytes. Never raises.

    An entry without a usable `plan_id` is unanswerable, one over 16 KB or with a field over 4 KB malformed.
    One whose `decision` needs no permit is skipped before its other fields are parsed. Optional fields that
    are empty, `None` or `null` count as missing.
    """
    plan_id = plan_id_text(fields.get(b"plan_id", b""))
    if plan_id is None:
        return UnanswerablePlan("plan_id: missing, or not 1 to 256 printable ASCII characters")
    if plan_id.startswith(_OTHER_SERVICES_IDS):
        return UnanswerablePlan("plan_id: begins like another service's permit key")
    problems: Problems = {}
    if too_large := _too_large(fields):
        return MalformedPlan(plan_id, _symbol(fields, problems), too_large)
    wish = fields.get(b"decision", b"")
    decision = _DECISIONS.get(wish.decode(errors="replace"))
    if decision is None:
        if wish:
            return SkippedPlan(plan_id, _shown(wish, 32))
        problems["decision"] = "missing"
    symbol = _symbol(fields, problems)
    plan = _plan(fields, plan_id, symbol or Symbol(""), decision or PlanDecision.EXECUTE, problems)
    return MalformedPlan(plan_id, symbol, problems) if problems else plan


def _plan(
    fields: Mapping[bytes, bytes], plan_id: PlanId, symbol: Symbol, decision: PlanDecision, problems: Problems
) -> Plan:
    """Build the plan; valid only if nothing was added to `problems`."""
    for name in _BYSTANDERS:
        if name in fields:
            _not_negative(fields, name, problems)
    return Plan(
        plan_id=plan_id,
        symbol=symbol,
        decision=decision,
        action=_action(fields, problems),
        side=_one_of(_SIDES, fields, b"side", problems),
        quantity=_quantity(fields, problems),
        reduce_only=_boolean(fields, b"reduceOnly", problems),
        leg=_one_of(_LEGS, fields, b"positionSide", problems),
        order_type=_given(fields, b"type") or "",
        source=_given(fields, b"source") or "",
        reason=_given(fields, b"reason") or "",
        eval_type=_one_of(_EVAL_TYPES, fields, b"eval_type", problems) or "",
        timestamp_sec=_not_negative(fields, b"timestamp", problems),
    )


def _too_large(fields: Mapping[bytes, bytes]) -> Problems:
    # An entry shorter than the limit of one field, as most are, needs no check of each.
    if sum(map(len, fields)) + sum(map(len, fields.values())) <= LARGEST_FIELD:
        return {}
    total = 0
    for name, value in fields.items():
        total += len(name) + len(value)
        if len(value) > LARGEST_FIELD or len(name) > LARGEST_FIELD:
            return {_shown(name, 32): f"{max(len(name), len(value))} bytes, {LARGEST_FIELD} allowed"}
    return {"entry": f"{total} bytes, {LARGEST_ENTRY} allowed"} if total > LARGEST_ENTRY else {}


def _symbol(fields: Mapping[bytes, bytes], problems: Problems) -> Symbol | None:
    raw = fields.get(b"symbol", b"")
    symbol = raw.decode(errors="replace")
    if is_symbol(symbol) and "\N{REPLACEMENT CHARACTER}" not in symbol:
        return symbol
    problems["symbol"] = f"not a symbol: {_shown(raw, 40)}" if raw else "missing"
    return None


def _given(fields: Mapping[bytes, bytes], name: bytes) -> str | None:
    raw = fields.get(name)
    return given(raw.decode(errors="replace")) if raw else None


def _action(fields: Mapping[bytes, bytes], problems: Problems) -> str:
    action = _given(fields, b"action") or ""
    if not action.isprintable() or "\N{REPLACEMENT CHARACTER}" in action:
        problems["action"] = f"unreadable: {_shown(fields[b'action'], 40)}"
    return action


def _one_of(
    values: Mapping[str, T], fields: Mapping[bytes, bytes], name: bytes, problems: Problems
) -> T | None:
    text = _given(fields, name)
    if text is None:
        return None
    value = values.get(text.upper())
    if value is None:
        problems[name.decode()] = f"none of {', '.join(values)}: {_shown(fields[name], 40)}"
    return value


def _boolean(fields: Mapping[bytes, bytes], name: bytes, problems: Problems) -> bool | None:
    text = _given(fields, name)
    if text is None:
        return None
    value = _BOOLEANS.get(text.lower())
    if value is None:
        problems[name.decode()] = f"neither true nor false: {_shown(fields[name], 40)}"
    return value


def _quantity(fields: Mapping[bytes, bytes], problems: Problems) -> Decimal | None:
    """Parse the quantity from `qty` or `close_qty`; where both are given, they must be equal."""
    qty = _contracts(fields, b"qty", problems)
    close_qty = _contracts(fields, b"close_qty", problems)
    if qty is not None and close_qty is not None and qty != close_qty:
        problems["close_qty"] = "differs from qty"
    return close_qty if qty is None else qty


def _contracts(fields: Mapping[bytes, bytes], name: bytes, problems: Problems) -> Decimal | None:
    text = _given(fields, name)
    if text is None:
        return None
    try:
        number = parse_decimal_down(text)
    except NotANumberError as error:
        problems[name.decode()] = str(error)
        return None
    if number < 0:
        problems[name.decode()] = f"negative: {text[:40]}"
    return number if number > 0 else None


def number_of(text: str) -> float | None:
    """Return a finite number from 0 up; None for any other text."""
    number = float(text) if _NUMBER.fullmatch(text) else math.nan
    return number if math.isfinite(number) and number >= 0 else None


def _not_negative(fields: Mapping[bytes, bytes], name: bytes, problems: Problems) -> float | None:
    """Parse a number that is passed on only: a time, a price, a leverage."""
    text = _given(fields, name)
    if text is None:
        return None
    number = number_of(text)
    if number is not None:
        return number
    problems[name.decode()] = f"not a number from 0 up: {_shown(fields[name], 40)}"
    return None


def _shown(raw: bytes, length: int) -> str:
    """Return the beginning of a field as printable text."""
    text = raw[: 4 * length].decode(errors="replace")[:length]
    return "".join(char if char.isprintable() else "?" for char in text)
