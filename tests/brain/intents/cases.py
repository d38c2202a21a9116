"""Intents and cases as tests write them: BTCUSDT trades at 100, is flat, and its step is 0.001."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from brain.identifiers import EntryId
from brain.intents.case import BridgeRules, IntentCase, Steps
from brain.intents.intent import Intent, Lane, MalformedIntent
from brain.intents.reading import read_intent

NOW_MS = 1_760_000_001_000
ENTRY = EntryId("1760000000500-0")
RULES = BridgeRules(
    max_age_sec=30,
    exit_max_age_sec=60,
    skip_flat_sell=False,
    min_hold_sec=900,
    max_notional=Decimal(3000),
    taker_fee_rate=Decimal("0.0004"),
)


def read(fields: Mapping[str, object], lane: Lane = Lane.TRADE) -> Intent | MalformedIntent:
    """The intent of an entry's fields."""
    return read_intent(lane, ENTRY, {name.encode(): _bytes(value) for name, value in fields.items()})


def _bytes(value: object) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


def intent(lane: Lane = Lane.TRADE, /, **fields: object) -> Intent:
    """A readable intent: to buy 1, or on the exit lanes to close all, unless `fields` say otherwise."""
    usual: dict[str, object] = {"symbol": "BTCUSDT"}
    usual |= {"side": "BUY", "quantity": "1"} if lane is Lane.TRADE else {"action": "FULL_CLOSE"}
    found = read({**usual, **fields}, lane)
    assert isinstance(found, Intent), found
    return found


def exit_intent(**fields: object) -> Intent:
    """A readable intent of `exit.intent`."""
    return intent(Lane.EXIT, **fields)


def case(of: Intent | None = None, **changes: Any) -> IntentCase:
    """A case in which all is in order, unless `changes` say otherwise; `rules` are changes of those."""
    rules = replace(RULES, **changes.pop("rules", {}))
    usual = IntentCase(
        intent=of or intent(),
        published_ms=NOW_MS - 500,
        now_ms=NOW_MS,
        mark_price=Decimal(100),
        position=Decimal(0),
        hedge_mode=False,
        steps=Steps(Decimal("0.001"), Decimal("0.001")),
        in_universe=True,
        lockdown=False,
        last_close_ms=None,
        rules=rules,
    )
    return replace(usual, **changes)


def as_json(**members: object) -> str:
    """JSON of an intent."""
    return json.dumps({"symbol": "BTCUSDT", **members})
