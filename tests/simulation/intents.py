"""Intents of the strategies: every size, dialect and lane, and some that nothing can be made of."""

from __future__ import annotations

import json
from decimal import ROUND_DOWN, Decimal
from random import Random

import msgspec

from simulator.history import PositionSide
from tests.simulation.chain_scene import EXIT_LANES
from tests.simulation.fields import Fields, plain
from tests.simulation.venue import Venue

TRADE = "trade.intent"
EXIT, HARVEST = EXIT_LANES
_JSON = msgspec.json.Encoder(decimal_format="number")
_CENT = Decimal("0.01")
_FRACTIONS = ("0.25", "0.5", "0.75", "1", "0.333", "12.5", "33", "50", "75", "100")
_DELISTED, _HOSTILE, _EXITS, _CLOSES = 0.02, 0.12, 0.40, 0.55
_SOURCES = ("", "exit_brain", "exit_management_agent", "harvest_brain")

#: A member of an intent as its strategy has it.
Members = dict[str, str | Decimal | bool | int]


class Meant(msgspec.Struct, frozen=True, kw_only=True):
    """An intent as its strategy meant it.

    `side`: BUY, SELL or CLOSE. The size is `quantity`, or `usd` (a notional) at `price` (None: the mark
    price), or `fraction` of the position; a close without one is one of all. `leg`: `positionSide`; `held`:
    the position's side. `malformed`: no plan may come of it. `extras`: what goes on to the plan as it is.
    """

    lane: str
    symbol: str
    side: str
    closes: bool = False
    quantity: Decimal | None = None
    usd: Decimal | None = None
    price: Decimal | None = None
    fraction: Decimal | None = None
    leg: str = ""
    held: str = ""
    publisher_id: str = ""
    source: str = ""
    entry_price: Decimal | None = None
    stop_loss_pct: Decimal | None = None
    take_profit_pct: Decimal | None = None
    extras: dict[str, str] = {}
    malformed: bool = False


class Intent(msgspec.Struct, frozen=True):
    """An intent with the fields of its entry."""

    meant: Meant
    fields: Fields


class IntentMaker:
    """Draws intents that make sense for the position as it is, and some that do not."""

    def __init__(self, venue: Venue, rng: Random, lanes: tuple[str, ...]) -> None:
        """`lanes`: the streams that the bridge reads."""
        self._venue = venue
        self._rng = rng
        self._lanes = [lane for lane in EXIT_LANES if lane in lanes]
        self._named = 0

    def any(self, symbol: str, quantity: Decimal, adorned: Fields, delisted: str) -> Intent:
        """Draw an intent. `quantity`: one that the exchange accepts; `adorned`: what the Governor reads."""
        rng = self._rng
        leg = rng.choice(self._venue.legs_of(symbol))
        amount = self._venue.amount(symbol, leg)
        draw = rng.random()
        if draw < _HOSTILE:
            name = delisted if draw < _DELISTED else symbol
            intent = self._entry(name, leg, "BUY", quantity, symbol) if draw < _DELISTED else None
            return intent or self._hostile(symbol, leg, quantity)
        if draw < _EXITS and self._lanes:
            return self._exit(symbol, leg, quantity)
        if draw < _CLOSES:
            return self._close(symbol, leg, amount, quantity)
        along = {"LONG": "BUY", "SHORT": "SELL"}.get(leg) or rng.choice(("BUY", "SELL"))
        if amount and rng.random() < 0.6:
            along = "SELL" if amount > 0 else "BUY"
            step = self._venue.symbol(symbol).step_size
            part = abs(amount) * rng.choice((20, 50, 100, 130)) / 100
            quantity = max(step, part.quantize(step, rounding=ROUND_DOWN))
        return self._entry(symbol, leg, along, quantity, symbol, adorned)

    def entry(self, symbol: str, leg: PositionSide, side: str, quantity: Decimal) -> Intent:
        """Return an order in the flat dialect."""
        meant = Meant(lane=TRADE, symbol=symbol, side=side, quantity=quantity, leg=_of(leg))
        return Intent(meant, {"symbol": symbol, "side": side, "qty": plain(quantity)} | _leg(leg))

    def nonsense(self, symbol: str) -> Intent:
        """Return an intent that says nothing."""
        return Intent(Meant(lane=TRADE, symbol=symbol, side="", malformed=True), {"symbol": symbol})

    def full_close(self, symbol: str, leg: PositionSide) -> Intent:
        """Return a close of all there is."""
        meant = Meant(lane=TRADE, symbol=symbol, side="CLOSE", closes=True, leg=_of(leg))
        return Intent(meant, {"symbol": symbol, "action": "CLOSE"} | _leg(leg))

    def _entry(
        self,
        symbol: str,
        leg: PositionSide,
        side: str,
        quantity: Decimal,
        like: str,
        adorned: Fields | None = None,
    ) -> Intent:
        rng, leverage = self._rng, Decimal(self._rng.choice((3, 5, 10)))
        members: Members = {"symbol": symbol, rng.choice(("side", "action")): side}
        extras: dict[str, str] = {}
        if rng.random() < 0.6:
            members["leverage"] = leverage
            extras["leverage"] = plain(leverage)
        meant = Meant(lane=TRADE, symbol=symbol, side=side, leg=_of(leg))
        meant = self._sized(meant, members, quantity, self._venue.mark_price(like))
        entry_price = members.get("entry_price")
        if rng.random() < 0.3:
            members["reduceOnly"] = rng.choice((False, "false", "0"))
        wanted: dict[str, Decimal | None] = {}
        for name, member in (("stop_loss_pct", "sl_pct"), ("take_profit_pct", "tp_pct")):
            if rng.random() < 0.3:
                members[member] = wanted[name] = Decimal(rng.choice(("1", "2.5", "0.333")))
        if rng.random() < 0.2:
            members["stop_loss"] = Decimal("12.5")
            extras["stop_loss"] = "12.5"
        if rng.random() < 0.3:
            members |= {"regime": "BULL", "atr_value": Decimal("0.0125")}
            extras |= {"regime": "BULL", "atr_value": "0.0125"}
        for name, text in (adorned or {}).items():
            members[name] = extras[name] = text
        meant = msgspec.structs.replace(
            meant,
            extras=extras,
            entry_price=entry_price if isinstance(entry_price, Decimal) else None,
            **wanted,
        )
        return self._spoken(meant, members | _leg(leg))

    def _sized(self, meant: Meant, members: Members, quantity: Decimal, mark: Decimal) -> Meant:
        """Say how much in one of the ways; return what that means."""
        rng = self._rng
        replace = msgspec.structs.replace
        usd = (quantity * mark * rng.choice((1, 1, 2))).quantize(_CENT)
        match rng.randrange(6):
            case 0 | 1:
                odd = quantity + rng.choice((Decimal(0), Decimal("0.0000001"), Decimal("0.00049999")))
                members[rng.choice(("quantity", "qty"))] = odd
                return replace(meant, quantity=odd)
            case 2:
                leverage = members.get("leverage")
                lever = leverage if isinstance(leverage, Decimal) else Decimal(1)
                members["position_usd"] = own = (usd / lever).quantize(_CENT)
                return replace(meant, usd=own * lever)
            case 3:
                price = (mark * rng.choice((1, 2))).quantize(_CENT) + _CENT
                members |= {"size": usd, "price": price}
                return replace(meant, usd=usd, price=price)
            case 4:
                price = mark.quantize(_CENT) + _CENT
                members |= {rng.choice(("position_size_usd", "ai_size_usd")): usd, "entry_price": price}
                return replace(meant, usd=usd, price=price)
            case _:
                members[rng.choice(("position_size_usd", "ai_size_usd"))] = usd
                return replace(meant, usd=usd)

    def _close(self, symbol: str, leg: PositionSide, amount: Decimal, quantity: Decimal) -> Intent:
        rng = self._rng
        members: Members = {"symbol": symbol}
        meant = Meant(lane=TRADE, symbol=symbol, side="CLOSE", closes=True, leg=_of(leg))
        if rng.random() < 0.5:
            members[rng.choice(("action", "side"))] = rng.choice(("CLOSE", "close"))
        else:
            side = "SELL" if amount > 0 else "BUY" if amount < 0 else rng.choice(("BUY", "SELL"))
            members |= {"side": side, "reduceOnly": rng.choice((True, "true", "1"))}
            meant = msgspec.structs.replace(meant, side=side)
        if rng.random() < 0.5:
            members["qty"] = quantity
            meant = msgspec.structs.replace(meant, quantity=quantity)
        if rng.random() < 0.1:
            # No close fails for what it does not need.
            members["leverage"] = "-3"
        return self._spoken(meant, members | _leg(leg))

    def _exit(self, symbol: str, leg: PositionSide, quantity: Decimal) -> Intent:
        rng, lane = self._rng, self._rng.choice(self._lanes)
        members: Members = {"symbol": symbol, "reason": "trailing stop"}
        extras = {"reason": "trailing stop"}
        self._named += 1
        publisher_id = f"exit-{self._named}" if rng.random() < 0.6 else ""
        if publisher_id:
            members["intent_id"] = extras["intent_id"] = publisher_id
        if source := rng.choice(_SOURCES):
            members["source"] = source
        meant = Meant(
            lane=lane, symbol=symbol, side="CLOSE", closes=True, leg=_of(leg), publisher_id=publisher_id,
            source=source, extras=extras,
        )  # fmt: skip
        draw = rng.random()
        if draw < 0.6:
            text = rng.choice(_FRACTIONS)
            members |= {
                "action": rng.choice(("PARTIAL_CLOSE", "CLOSE", "HARVEST")),
                "percentage" if lane == HARVEST else "qty_fraction": Decimal(text),
            }
            share = Decimal(text)
            meant = msgspec.structs.replace(meant, fraction=share if share <= 1 else share / 100)
        elif draw < 0.75:
            members |= {"action": "CLOSE", "quantity": quantity}
            meant = msgspec.structs.replace(meant, quantity=quantity)
        elif draw < 0.85:
            members["action"] = "PARTIAL_25"
            meant = msgspec.structs.replace(meant, fraction=Decimal("0.25"))
        else:
            members["action"] = rng.choice(("FULL_CLOSE", "CLOSE_POSITION", "EXIT"))
        if leg != "BOTH" and rng.random() < 0.5:
            members["side"] = leg
            return self._spoken(msgspec.structs.replace(meant, held=leg, leg=""), members)
        if leg == "BOTH" and rng.random() < 0.4:
            held = "LONG" if self._venue.amount(symbol, leg) >= 0 else "SHORT"
            members["side"] = held
            meant = msgspec.structs.replace(meant, held=held)
        return self._spoken(meant, members | _leg(leg))

    def _hostile(self, symbol: str, leg: PositionSide, quantity: Decimal) -> Intent:
        """Build an intent of which no plan may be made."""
        rng = self._rng
        lane = rng.choice((TRADE, *self._lanes))
        meant = Meant(lane=lane, symbol=symbol, side="", malformed=True)
        own = _leg(leg)
        if lane != TRADE:
            members = rng.choice(
                (
                    {"symbol": symbol, "action": "HOLD", "qty_fraction": "0.5"},
                    {
                        "symbol": symbol,
                        "action": "CLOSE",
                        "percentage": rng.choice(("250", "0", "-5", "half")),
                    },
                    {"symbol": symbol, "action": "PARTIAL_CLOSE"},
                    {"symbol": symbol, "action": "CLOSE", "decision": "SKIP"},
                    {"symbol": symbol, "action": "CLOSE", "intent_id": "\x00\x01"},
                    {"symbol": "no symbol!", "action": "CLOSE"},
                    {"data": rng.choice(("{", "[]", '"CLOSE"', "x" * 5000))},
                )
            )
            return Intent(meant, members | own)
        entry = {"symbol": symbol, "side": "BUY", "qty": plain(quantity)} | own
        return Intent(
            meant,
            rng.choice(
                (
                    entry | {"qty": rng.choice(("NaN", "-1", "1e999", "much", "1e17"))},
                    entry | {"side": rng.choice(("HODL", "LONG"))},
                    entry | {"action": "SELL"},
                    entry | {"qty": rng.choice(("", "0"))},
                    entry | {"reduceOnly": "maybe"},
                    entry | {"side": "CLOSE", "reduceOnly": "false"},
                    entry | {"leverage": "-3"},
                    entry | {"type": "LIMIT"},
                    entry | {"positionSide": "MIDDLE"},
                    {"symbol": symbol},
                    {"payload": rng.choice(("{", "[]", "null", "[" * 3000))},
                    {"data": json.dumps(entry | {"symbol": "btc usdt"})},
                )
            ),
        )

    def _spoken(self, meant: Meant, members: Members) -> Intent:
        """Say it in one of the three dialects."""
        name = self._rng.choice(("", "payload", "data"))
        if name:
            return Intent(meant, {name: _JSON.encode(members).decode()})
        return Intent(meant, {member: _text(value) for member, value in members.items()})


def _text(value: str | Decimal | bool | int) -> str:
    if isinstance(value, bool):
        return "True" if value else "False"
    return plain(value) if isinstance(value, Decimal) else str(value)


def _leg(leg: PositionSide) -> Fields:
    return {} if leg == "BOTH" else {"positionSide": leg}


def _of(leg: PositionSide) -> str:
    return "" if leg == "BOTH" else leg
