"""What has to become of an intent, computed a second time: in fractions, from what its strategy meant."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import msgspec

from tests.simulation.intents import TRADE, Meant

_SMALLEST = Fraction(1, 10**18)
_EXIT_MAX_AGE_SEC = 60.0
_NAMED = {Fraction(1, 2): "PARTIAL_50", Fraction(3, 4): "PARTIAL_75"}
_SLIPPAGE = Fraction("0.0002")
FULL, ENTRY, PART = "FULL_CLOSE_PROPOSED", "ENTRY_PROPOSED", "PARTIAL_CLOSE"


class BridgeLimits(msgspec.Struct, frozen=True):
    """The bridge's settings. `exposure_pct`: None for none."""

    max_age_sec: float
    skip_flat_sell: bool
    min_hold_sec: float
    max_notional: Fraction
    fee_rate: Fraction
    exposure_pct: Fraction | None


class Seen(msgspec.Struct, frozen=True):
    """What an answer rests on. `step` and `least` are None where the symbol is not known.

    `age_sec`: None where it is not known. `since_close_sec`: None for no close. `notional` and `equity`: of
    the account, None where they are not known.
    """

    age_sec: float | None
    mark: Fraction | None
    position: Fraction | None
    hedged: bool
    step: Fraction | None
    least: Fraction | None
    listed: bool
    lockdown: bool
    since_close_sec: float | None
    notional: Fraction | None
    equity: Fraction | None


class Wanted(msgspec.Struct, frozen=True):
    """What must come of it: a refusal's reason, or a plan. `prices`: those that follow from the entry's."""

    reason: str = ""
    action: str = ""
    quantity: Fraction = Fraction(0)
    eval_type: str = ""
    prices: dict[str, Fraction] = {}


def wanted(meant: Meant, seen: Seen, limits: BridgeLimits) -> Wanted:
    """Return the right answer to an intent that can be read."""
    limit_sec = limits.max_age_sec if meant.lane == TRADE else _EXIT_MAX_AGE_SEC
    if seen.age_sec is None or seen.age_sec > limit_sec:
        return Wanted("intent_expired")
    return _close(meant, seen) if meant.closes else _order(meant, seen, limits)


def _close(meant: Meant, seen: Seen) -> Wanted:
    position = seen.position
    if position is not None:
        other = not seen.hedged and meant.held and (position < 0) is not (meant.held == "SHORT")
        if not position or other:
            return Wanted("flat_close")
    if meant.fraction is not None and meant.fraction != 1:
        share = Fraction(meant.fraction)
        if share in _NAMED:
            return Wanted(action=_NAMED[share], eval_type="EXIT")
        if position is None:
            return Wanted("no_exchange_snapshot")
        return _of_size(PART, abs(position) * share, "EXIT", seen)
    if meant.quantity is None and meant.usd is None:
        return Wanted(action=FULL, eval_type="EXIT")
    size = _size(meant, seen)
    if size is None:
        return Wanted("no_price")
    whole = position is not None and _floor(size, seen) >= abs(position)
    return _of_size(FULL if meant.lane == TRADE or whole else PART, size, "EXIT", seen)


def _order(meant: Meant, seen: Seen, limits: BridgeLimits) -> Wanted:
    position = seen.position or Fraction(0)
    if limits.skip_flat_sell and meant.side == "SELL" and seen.position == 0:
        return Wanted("flat_close")
    leg = meant.leg if seen.hedged else ""
    reducing = {"LONG": "SELL", "SHORT": "BUY"}.get(leg) or ("SELL" if position > 0 else "BUY")
    against = bool(position) and meant.side == reducing
    size = _size(meant, seen)
    if against:
        if size is None:
            return Wanted("no_price")
        if _floor(size, seen) <= abs(position):
            return _of_size(ENTRY, size, "EXIT", seen)
    if (stopped := _stopped(seen, limits)) or size is None:
        return Wanted(stopped or "no_price")
    if limits.max_notional:
        if seen.mark is None:
            return Wanted("no_price")
        size = min(size, limits.max_notional / seen.mark)
    reduces = against and _floor(size, seen) <= abs(position)
    answer = _of_size(ENTRY, size, "EXIT" if reduces else "ENTRY", seen)
    if answer.reason or reduces:
        return answer
    if _exposed(answer.quantity, seen, limits):
        return Wanted("exposure")
    return msgspec.structs.replace(answer, prices=_prices(meant, seen, limits))


def _stopped(seen: Seen, limits: BridgeLimits) -> str:
    if seen.lockdown:
        return "lockdown"
    if not seen.listed or seen.step is None:
        return "symbol_not_in_universe"
    since_sec = seen.since_close_sec
    soon = limits.min_hold_sec > 0 and since_sec is not None and since_sec < limits.min_hold_sec
    return "anti_churn" if soon else ""


def _exposed(quantity: Fraction, seen: Seen, limits: BridgeLimits) -> bool:
    if limits.exposure_pct is None:
        return False
    if seen.notional is None or not seen.equity or seen.mark is None:
        return True
    return (seen.notional + quantity * seen.mark) * 100 > seen.equity * limits.exposure_pct


def _size(meant: Meant, seen: Seen) -> Fraction | None:
    if meant.quantity is not None:
        return Fraction(meant.quantity)
    price = Fraction(meant.price) if meant.price is not None else seen.mark
    return None if meant.usd is None or price is None else Fraction(meant.usd) / price


def _floor(size: Fraction, seen: Seen) -> Fraction:
    step = seen.step or _SMALLEST
    return size // step * step


def _of_size(action: str, size: Fraction, eval_type: str, seen: Seen) -> Wanted:
    quantity = _floor(size, seen)
    if quantity <= 0 or (seen.least is not None and quantity < seen.least):
        return Wanted("below_min_qty")
    return Wanted(action=action, quantity=quantity, eval_type=eval_type)


def _prices(meant: Meant, seen: Seen, limits: BridgeLimits) -> dict[str, Fraction]:
    entry = Fraction(meant.entry_price) if meant.entry_price is not None else seen.mark
    if entry is None:
        return {}
    up = 1 if meant.side == "BUY" else -1
    moves = {"entry_price": Fraction(0), "breakeven_price": up * (2 * limits.fee_rate + _SLIPPAGE)}
    if meant.stop_loss_pct is not None:
        moves["stop_loss"] = -up * Fraction(meant.stop_loss_pct) / 100
    if meant.take_profit_pct is not None:
        moves["take_profit"] = up * Fraction(meant.take_profit_pct) / 100
    prices = {name: entry * (1 + move) // _SMALLEST * _SMALLEST for name, move in moves.items()}
    return {name: price for name, price in prices.items() if name not in meant.extras}


def fraction(text: object) -> Fraction | None:
    """Return a recorded number; None where there is none."""
    return None if text in (None, "") else Fraction(Decimal(str(text)))
