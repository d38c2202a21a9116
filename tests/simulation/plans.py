"""Plans of the pipeline's publishers: every kind, in both dialects, valid and invalid."""

from __future__ import annotations

import json
from decimal import ROUND_DOWN, Decimal
from random import Random

from simulator.history import PositionSide
from tests.simulation.clocks import true_ms
from tests.simulation.fields import Fields, plain
from tests.simulation.venue import Venue

_OLD_SEC = 2 * 3600
_ACTIONS = (
    "FULL_CLOSE_PROPOSED", "PARTIAL_75", "PARTIAL_50", "CLOSE_FULL", "CLOSE_PARTIAL_75", "CLOSE_PARTIAL_50",
)  # fmt: skip


class PlanMaker:
    """Draws plans that make sense for the position as it is, and some that do not."""

    def __init__(self, venue: Venue, rng: Random) -> None:
        self._venue = venue
        self._rng = rng

    def quantity(self, symbol: str) -> Decimal:
        """Return an order that the exchange accepts."""
        listed = self._venue.symbol(symbol)
        quantity = listed.step_size * self._rng.randint(20, 60)
        while quantity * self._venue.mark_price(symbol) < 4 * listed.min_notional:
            quantity *= 2
        return quantity

    def any(self, symbol: str) -> tuple[Fields, str]:
        """Build a plan without its id, and its kind: `skip`, `expired`, `unsound` or nothing."""
        rng = self._rng
        leg = rng.choice(self._venue.legs_of(symbol))
        amount = self._venue.amount(symbol, leg)
        draw = rng.random()
        if draw < 0.04:
            return self._exit(symbol, leg) | {"decision": rng.choice(("SKIP", "HOLD", "BLOCKED"))}, "skip"
        if draw < 0.06:
            old = f"{true_ms() / 1000 - _OLD_SEC:.0f}"
            return self._exit(symbol, leg) | {"timestamp": old}, "expired"
        if draw < 0.11:
            return self._unsound(symbol, leg), "unsound"
        if draw < 0.14:
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
        if draw < 0.54:
            return self._exit_without_a_name(symbol, leg, amount), ""
        plan = self._exit(symbol, leg)
        if rng.random() < 0.3:
            plan["close_qty"] = plain(self._part(symbol, amount))
        return plan, ""

    def reconcile_close(self, symbol: str, leg: PositionSide, surplus: Decimal) -> Fields:
        """Build the plan that removes a drift while the symbol is held; `surplus` is signed."""
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

    def broken_reconcile_close(self, symbol: str, leg: PositionSide, surplus: Decimal) -> Fields:
        """Build a reconcile close without its guard."""
        wrong = self._rng.choice(
            ({"reduceOnly": "false"}, {"type": "LIMIT"}, {"reason": "somebody said so"}, {"qty": "0"})
        )
        return self.reconcile_close(symbol, leg, surplus) | wrong

    def of_delisted(self, delisted: str, like: str) -> tuple[Fields, str]:
        """Return a plan of a symbol that is on the list, and not on the exchange."""
        leg = self._venue.legs_of(like)[0]
        plan = self._entry(like, leg, "BUY", self.quantity(like)) if self._rng.random() < 0.5 else None
        return (plan or self._exit(like, leg)) | {"symbol": delisted}, "unsound"

    def stop_loss_update(self, symbol: str) -> Fields:
        """Nothing may be executed for it."""
        leg = self._venue.legs_of(symbol)[0]
        return self._exit(symbol, leg) | {"action": "UPDATE_SL", "close_qty": "0"}

    def full_exit(self, symbol: str, leg: PositionSide) -> Fields:
        """Return a close of all there is."""
        return self._exit(symbol, leg) | {"action": "FULL_CLOSE_PROPOSED", "close_qty": "0"}

    def entry_along(self, symbol: str) -> Fields:
        """Return an open, or an add to what there is."""
        leg = self._venue.legs_of(symbol)[0]
        side = "SELL" if self._venue.amount(symbol, leg) < 0 else "BUY"
        return self._entry(symbol, leg, side, self.quantity(symbol)) | {"eval_type": "ENTRY"}

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
            # EXIT fits only what turns out to be a close.
            "eval_type": rng.choice(("", "", "", "ENTRY", "EXIT")),
            "timestamp": f"{true_ms() / 1000:.3f}",
        }

    def _exit(self, symbol: str, leg: PositionSide) -> Fields:
        rng = self._rng
        action = rng.choice(_ACTIONS)
        plan = self._leg(leg) | {
            "symbol": symbol,
            "decision": "EXECUTE",
            "action": action,
            "side": "CLOSE",
            "close_qty": rng.choice(("0", "0.0", "")),
            "reduceOnly": rng.choice(("true", "True", "1", "1", "")),
            "source": rng.choice(("", "harvest_brain")),
            "steps": json.dumps([{"step": action, "type": "market_reduce_only", "side": "close"}]),
            "timestamp": f"{true_ms() / 1000:.0f}",
        }
        return plan | ({"eval_type": "EXIT"} if rng.random() < 0.2 else {})

    def _exit_without_a_name(self, symbol: str, leg: PositionSide, amount: Decimal) -> Fields:
        """Return a close whose action says nothing: so its quantity has to."""
        against = "SELL" if amount > 0 else "BUY"
        return self._exit(symbol, leg) | {
            "action": self._rng.choice(("", "TRAILING_STOP_HIT")),
            "side": self._rng.choice(("CLOSE", against)),
            "close_qty": plain(self._part(symbol, amount)),
            "reduceOnly": "true",
        }

    def _unsound(self, symbol: str, leg: PositionSide) -> Fields:
        """Build a plan that is invalid with any position."""
        rng = self._rng
        entry = self._entry(symbol, leg, "BUY", self.quantity(symbol)) | {"action": "ENTRY_PROPOSED"}
        leaving = self._exit(symbol, leg)
        unsound = [
            entry | {"qty": rng.choice(("NaN", "-1", ""))},
            entry | {"side": "HODL"},
            entry | {"reduceOnly": rng.choice(("maybe", "", "true"))},
            entry | {"close_qty": "0.123"},
            entry | {"leverage": "-3"},
            leaving | {"reduceOnly": "false"},
            leaving | {"eval_type": "ENTRY"},
            leaving | {"action": rng.choice(("", "PANIC")), "reduceOnly": "true", "close_qty": "0"},
            leaving | {"action": "PANIC", "reduceOnly": rng.choice(("false", "")), "close_qty": "1"},
            self.reconcile_close(symbol, leg, Decimal(1)) | {"reason": "because"},
        ]
        if leg != "BOTH":
            unsound.append({name: value for name, value in leaving.items() if name != "positionSide"})
        return rng.choice(unsound)

    def _leg(self, leg: PositionSide) -> Fields:
        return {} if leg == "BOTH" else {"positionSide": leg}
