"""What the pipeline's publishers propose: every kind of plan, in both dialects, sound and unsound."""

from __future__ import annotations

import json
from decimal import ROUND_DOWN, Decimal
from random import Random

from simulator.history import PositionSide
from tests.simulation.clocks import true_ms
from tests.simulation.venue import ZERO, Venue

Fields = dict[str, str]
_OLD_SEC = 2 * 3600


def plain(value: Decimal) -> str:
    """A decimal as publishers write it."""
    return f"{value:f}"


class PlanMaker:
    """Draws plans that make sense for the position as it is, and some that do not."""

    def __init__(self, venue: Venue, rng: Random) -> None:
        self._venue = venue
        self._rng = rng

    def quantity(self, symbol: str) -> Decimal:
        """An order that the exchange accepts."""
        listed = self._venue.symbol(symbol)
        quantity = listed.step_size * self._rng.randint(20, 60)
        while quantity * self._venue.mark_price(symbol) < 4 * listed.min_notional:
            quantity *= 2
        return quantity

    def any(self, symbol: str) -> tuple[Fields, str]:
        """A plan without its id, and what is special about it: `skip`, `expired`, `malformed` or nothing."""
        rng = self._rng
        leg = rng.choice(self._venue.legs_of(symbol))
        amount = self._venue.amount(symbol, leg)
        draw = rng.random()
        if draw < 0.04:
            return self._exit(symbol, leg) | {"decision": rng.choice(("SKIP", "HOLD", "BLOCKED"))}, "skip"
        if draw < 0.06:
            old = f"{true_ms() / 1000 - _OLD_SEC:.0f}"
            return self._exit(symbol, leg) | {"timestamp": old}, "expired"
        if draw < 0.09:
            return self._malformed(symbol, leg), "malformed"
        if draw < 0.12:
            return self.stop_loss_update(symbol), ""
        if not amount:
            side = {"LONG": "BUY", "SHORT": "SELL"}.get(leg) or rng.choice(("BUY", "SELL"))
            return self._entry(symbol, leg, side, self.quantity(symbol)), ""
        if draw < 0.30:
            along = "BUY" if amount > 0 else "SELL"
            return self._entry(symbol, leg, along, self.quantity(symbol)), ""
        if draw < 0.42:
            against = "SELL" if amount > 0 else "BUY"
            return self._entry(symbol, leg, against, self._part(symbol, amount)), ""
        if draw < 0.46:
            return self._exit(symbol, leg) | {"side": "BUY" if amount > 0 else "SELL"}, ""
        plan = self._exit(symbol, leg)
        if rng.random() < 0.3:
            plan["close_qty"] = plain(self._part(symbol, amount))
        return plan, ""

    def reconcile_close(self, symbol: str, leg: PositionSide, surplus: Decimal) -> Fields:
        """What removes a drift while the symbol is held: `surplus` is signed."""
        return self._leg(leg) | {
            "symbol": symbol,
            "decision": "RECONCILE_CLOSE",
            "side": "SELL" if surplus > 0 else "BUY",
            "type": "MARKET",
            "qty": plain(abs(surplus)),
            "reduceOnly": "true",
            "source": "reconcile_engine",
            "reason": "reconcile_drift",
            "timestamp": f"{true_ms() / 1000:.3f}",
        }

    def full_close(self, symbol: str, leg: PositionSide) -> Fields:
        """A harvest exit of everything."""
        return self._exit(symbol, leg) | {"action": "FULL_CLOSE_PROPOSED", "side": "CLOSE"}

    def stop_loss_update(self, symbol: str) -> Fields:
        """Nothing may be executed for it."""
        leg = self._venue.legs_of(symbol)[0]
        return self._exit(symbol, leg) | {"action": "UPDATE_SL", "close_qty": "0"}

    def _part(self, symbol: str, amount: Decimal) -> Decimal:
        step = self._venue.symbol(symbol).step_size
        share = Decimal(self._rng.choice((20, 50, 100, 130))) / 100
        return max(step, (abs(amount) * share).quantize(step, rounding=ROUND_DOWN))

    def _entry(self, symbol: str, leg: PositionSide, side: str, quantity: Decimal) -> Fields:
        rng = self._rng
        return self._leg(leg) | {
            "symbol": symbol,
            "decision": "EXECUTE",
            "action": rng.choice(("ENTRY_PROPOSED", "")),
            "side": side,
            "type": "MARKET",
            "qty": plain(quantity),
            "reduceOnly": rng.choice(("false", "False", "0")),
            "source": "intent_bridge",
            "leverage": rng.choice(("5", "10.0")),
            "timestamp": f"{true_ms() / 1000:.3f}",
        }

    def _exit(self, symbol: str, leg: PositionSide) -> Fields:
        rng = self._rng
        actions = (
            "FULL_CLOSE_PROPOSED", "PARTIAL_75", "PARTIAL_50", "CLOSE_FULL", "CLOSE_PARTIAL_75",
            "CLOSE_PARTIAL_50",
        )  # fmt: skip
        action = rng.choice(actions)
        return self._leg(leg) | {
            "symbol": symbol,
            "decision": "EXECUTE",
            "action": action,
            "side": "CLOSE",
            "close_qty": rng.choice(("0", "0.0", "")),
            "reduceOnly": rng.choice(("true", "True", "1")),
            "source": rng.choice(("", "harvest_brain")),
            "steps": json.dumps([{"step": action, "type": "market_reduce_only", "side": "close"}]),
            "timestamp": f"{true_ms() / 1000:.0f}",
        }

    def _malformed(self, symbol: str, leg: PositionSide) -> Fields:
        entry = self._entry(symbol, leg, "BUY", self.quantity(symbol))
        wrong = self._rng.choice(
            ({"qty": "NaN"}, {"qty": "-1"}, {"side": "HODL"}, {"reduceOnly": "maybe"}, {"qty": ""})
        )
        return entry | {"action": "ENTRY_PROPOSED"} | wrong

    def _leg(self, leg: PositionSide) -> Fields:
        return {} if leg == "BOTH" else {"positionSide": leg}


def signed(side: str, quantity: Decimal) -> Decimal:
    """The quantity with the sign of its side."""
    return quantity if side == "BUY" else ZERO - quantity
