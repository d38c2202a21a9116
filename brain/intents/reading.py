"""Parser of intents: any bytes in any field.

An optional member that cannot be read makes an intent malformed that may open something. Of a close it is
left out: no close fails for what it does not need.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Final, NamedTuple

from brain.identifiers import EntryId, Symbol
from brain.intents.exit_size import exit_size
from brain.intents.intent import Intent, Lane, MalformedIntent
from brain.intents.intent_fields import (
    Members,
    Problems,
    amount,
    boolean,
    intent_members,
    number_from_0,
    printable,
    shown,
    symbol_of,
    word,
)
from brain.numbers import EXACT
from brain.plans.plan import Side
from brain.positions.position import Leg

_SIDES: Final = {member.value: member for member in Side}
_LEGS: Final = {member.value: member for member in Leg}
#: Of an exit intent: the side of the position. BUY and SELL say nothing there: publishers differ.
_HELD: Final = {"LONG": Leg.LONG, "SHORT": Leg.SHORT}
#: Optional numbers from 0 up that go on to the plan, by their names there.
_NUMBERS: Final = {
    "leverage": ("leverage", "ai_leverage"),
    "stop_loss": ("stop_loss",),
    "take_profit": ("take_profit",),
    "breakeven_price": ("breakeven_price",),
    "atr_value": ("atr_value",),
    "volatility_factor": ("volatility_factor",),
}
#: Optional texts that do, as they are.
_TEXTS: Final = ("confidence", "regime", "kill_score", "reason", "urgency", "R_net", "intent_id")
_K_NAME: Final = re.compile(r"k_[a-z0-9_]{1,32}")
_MOST_K: Final = 16
_USD_AT_ENTRY: Final = ("position_size_usd", "ai_size_usd")


class _Size(NamedTuple):
    """Contracts, or an amount of the quote currency at a price (None: the mark price)."""

    quantity: Decimal | None = None
    notional: Decimal | None = None
    price: Decimal | None = None


def read_intent(lane: Lane, entry_id: EntryId, fields: Mapping[bytes, bytes]) -> Intent | MalformedIntent:
    """Parse an entry of an intent stream. Never raises."""
    problems = Problems()
    members = intent_members(fields, problems)
    symbol = symbol_of(members, problems)
    if symbol is None:
        return MalformedIntent(entry_id, lane, None, problems)
    read = _trade if lane is Lane.TRADE else _exit
    intent = read(lane, entry_id, symbol, members, problems)
    return MalformedIntent(entry_id, lane, symbol, problems) if problems else intent


def _trade(lane: Lane, entry_id: EntryId, symbol: Symbol, members: Members, problems: Problems) -> Intent:
    action, side = (word(members, name, _SIDES, problems) for name in ("action", "side"))
    words = {each for each in (action, side) if each is not None}
    orders = words - {"CLOSE"}
    if not words and not problems:
        problems["side"] = "missing"
    if len(orders) > 1:
        problems["side"] = f"action {action} contradicts side {side}"
    reduce_only = boolean(members, "reduceOnly", problems)
    if "CLOSE" in words and reduce_only is False:
        problems["reduceOnly"] = "false contradicts CLOSE"
    closes = "CLOSE" in words or reduce_only is True
    optional = problems if not closes else Problems()
    entry_price = amount(members, "entry_price", optional)
    size = _trade_size(members, entry_price, problems)
    if not closes and size == _Size():
        problems.setdefault("size", "missing")
    if (order_type := members.get("type", "MARKET")).upper() != "MARKET":
        optional["type"] = f"only MARKET orders are sent: {shown(order_type)}"
    return Intent(
        entry_id=entry_id,
        lane=lane,
        symbol=symbol,
        side=_SIDES[min(orders)] if orders else Side.CLOSE,
        closes=closes,
        quantity=size.quantity,
        notional=size.notional,
        price=size.price,
        leg=_leg(members, problems),
        entry_price=entry_price,
        stop_loss_pct=amount(members, "sl_pct", optional),
        take_profit_pct=amount(members, "tp_pct", optional),
        extras=_extras(members, optional),
    )


def _trade_size(members: Members, entry_price: Decimal | None, problems: Problems) -> _Size:
    """Return the first size that is given."""
    for name in ("quantity", "qty"):
        if (quantity := amount(members, name, problems)) is not None:
            return _Size(quantity)
    if (usd := amount(members, "position_usd", problems)) is not None:
        leverage = amount(members, "leverage", problems) or amount(members, "ai_leverage", problems)
        return _Size(notional=EXACT.multiply(usd, leverage or Decimal(1)))
    size, price = amount(members, "size", problems), amount(members, "price", problems)
    if size is not None and price is not None:
        return _Size(notional=size, price=price)
    for name in _USD_AT_ENTRY:
        if (usd := amount(members, name, problems)) is not None:
            return _Size(notional=usd, price=entry_price)
    return _Size()


def _exit(lane: Lane, entry_id: EntryId, symbol: Symbol, members: Members, problems: Problems) -> Intent:
    if (decision := members.get("decision", "EXECUTE")).upper() != "EXECUTE":
        problems["decision"] = f"not EXECUTE: {shown(decision)}"
    size = exit_size(members, problems)
    return Intent(
        entry_id=entry_id,
        lane=lane,
        symbol=symbol,
        side=Side.CLOSE,
        closes=True,
        publisher_id=_publisher_id(members, problems),
        quantity=size.quantity,
        fraction=size.fraction,
        leg=_leg(members, problems),
        of_leg=_HELD.get(members.get("side", "").upper()),
        source=printable(members, "source") or "",
        extras=_extras(members, Problems()),
    )


def _publisher_id(members: Members, problems: Problems) -> str:
    """Return the publisher's id. One that cannot be used is malformed: without it there may be two plans."""
    text = printable(members, "intent_id")
    if text is None and "intent_id" in members:
        problems["intent_id"] = f"not printable: {shown(members['intent_id'])}"
    return text or ""


def _leg(members: Members, problems: Problems) -> Leg | None:
    name = word(members, "positionSide", _LEGS, problems)
    return None if name is None else _LEGS[name]


def _extras(members: Members, problems: Problems) -> dict[str, str]:
    """Return the optional fields that go on to the plan."""
    extras: dict[str, str] = {}
    for name, names in _NUMBERS.items():
        given = next((each for each in names if each in members), None)
        if given is not None and (number := number_from_0(members, given, problems)) is not None:
            extras[name] = number
    k_names = [name for name in members if _K_NAME.fullmatch(name)][:_MOST_K]
    for name in (*_TEXTS, *k_names):
        if (text := printable(members, name)) is not None:
            extras[name] = text
    return extras
