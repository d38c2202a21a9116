"""Makes the case of an intent: the position and mark price of its symbol, and what stands in Redis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

from actors.intent_bridge.rules import BridgeActorRules
from brain.intents.case import Exposure, IntentCase, Steps
from brain.intents.intent import Intent
from brain.intents.stored import fresh_equity, is_lockdown, read_last_close
from brain.moment import Moment
from brain.numbers import EXACT, ZERO
from brain.positions.position import Leg, LegPosition, Snapshot
from brain.symbols.allowlist import Allowlist
from brain.symbols.symbol_rules import SymbolRules
from channels import LatestValue, ResultBook, SnapshotBook
from store.bridge_records import BridgeState

#: An older mark price is none.
MARK_MAX_AGE_SEC = 60.0


class CaseMaking:
    """Reads the snapshot book; asks the exchange for nothing."""

    def __init__(
        self,
        book: SnapshotBook,
        results: ResultBook,
        symbol_rules: LatestValue[Mapping[str, SymbolRules]],
        allowlist: LatestValue[Allowlist],
        hedge_mode: LatestValue[bool],
        rules: BridgeActorRules,
    ) -> None:
        self._book = book
        self._results = results
        self._symbol_rules = symbol_rules
        self._allowlist = allowlist
        self._hedge_mode = hedge_mode
        self._rules = rules

    def case(
        self, intent: Intent, published_ms: int | None, state: BridgeState, now: Moment, now_ms: int
    ) -> IntentCase:
        """Return the case of an intent at `now`, `now_ms` by Redis's clock."""
        snapshot = self._book.get(intent.symbol)
        legs = self._fresh_legs(snapshot, now)
        hedged = self._hedge_mode.value is True or any(row.leg is not Leg.BOTH for row in legs or ())
        listed = (self._symbol_rules.value or {}).get(intent.symbol)
        allowlist = self._allowlist.value
        last_close_ms, unreadable = read_last_close(state.last_closes.get(intent.symbol))
        return IntentCase(
            intent=intent,
            published_ms=published_ms,
            now_ms=now_ms,
            mark_price=mark_of(snapshot, now),
            position=_amount(legs, intent, hedged=hedged),
            hedge_mode=hedged,
            steps=None if listed is None else Steps(listed.market_step, listed.market_min),
            in_universe=(
                allowlist is not None
                and intent.symbol in allowlist.symbols
                and listed is not None
                and listed.trading
            ),
            lockdown=is_lockdown(state.mode),
            last_close_ms=last_close_ms,
            last_close_unreadable=unreadable,
            exposure=self._exposure(state, now, now_ms),
            rules=self._rules.rules,
        )

    def prices_known(self, now: Moment) -> bool:
        """Return True if each symbol of the allowlist that was read has a mark price, and some were."""
        allowlist = self._allowlist.value
        if allowlist is None:
            return False
        read = [symbol for symbol in self._book.symbols() if symbol in allowlist.symbols]
        return bool(read) and all(mark_of(self._book.get(symbol), now) is not None for symbol in read)

    async def changed(self) -> None:
        """Wait until positions or prices have changed."""
        await self._book.changed()

    def _fresh_legs(self, snapshot: Snapshot | None, now: Moment) -> Sequence[LegPosition] | None:
        """Return a symbol's legs, None while no decision may rest on them."""
        if snapshot is None or not self._book.is_trusted(snapshot):
            return None
        fresh = snapshot.verified_at.age_sec(now) <= self._rules.stale_threshold_sec
        return snapshot.legs if fresh and self._results.all_in(snapshot) else None

    def _exposure(self, state: BridgeState, now: Moment, now_ms: int) -> Exposure | None:
        if self._rules.rules.max_exposure_pct is None:
            return None
        own, other = (fresh_equity(*pair, now_ms) for pair in (state.equity, state.portfolio))
        return Exposure(self._notional(now), other if own is None else own)

    def _notional(self, now: Moment) -> Decimal | None:
        """Return the notional of all positions; None where a price is not known."""
        total = ZERO
        for symbol in self._book.symbols():
            if not self._book.holds(symbol):
                continue
            snapshot = self._book.get(symbol)
            price = mark_of(snapshot, now)
            if snapshot is None or price is None:
                return None
            size = sum((abs(leg.amount) for leg in snapshot.legs), ZERO)
            total = EXACT.add(total, EXACT.multiply(size, price))
        return total


def _amount(legs: Sequence[LegPosition] | None, intent: Intent, *, hedged: bool) -> Decimal | None:
    """Return the signed amount of an intent's leg; None while it, or the leg, is not known."""
    leg = Leg.BOTH if not hedged else intent.leg or intent.of_leg
    if legs is None or leg is None or (hedged and leg is Leg.BOTH):
        return None
    return next((row.amount for row in legs if row.leg is leg), ZERO)


def mark_of(snapshot: Snapshot | None, now: Moment) -> Decimal | None:
    """Return a snapshot's mark price; None where it has none above 0, or an old one."""
    if snapshot is None or snapshot.mark_price is None or snapshot.mark_price <= ZERO:
        return None
    old = now.wall_ms - snapshot.mark_ts_ms > MARK_MAX_AGE_SEC * 1000
    return None if old else snapshot.mark_price
