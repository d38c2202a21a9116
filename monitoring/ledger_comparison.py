"""Positions on the exchange compared with the ledger, for page and `/status`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal

from brain.ledger.ledger import LedgerLegs
from brain.moment import Moment
from brain.numbers import ZERO, plain
from brain.positions.position import Leg, Snapshot
from monitoring.ledger_legs import exchange_legs
from page.content import Holding, Holdings
from page.tone import Tone

#: A fill is on the exchange before its result is booked: a shorter mismatch is in flight.
IN_FLIGHT_SEC = 5.0
#: A comparison this recent would have seen a mismatch that is older.
_RECENTLY_SEC = 10.0
_MOST_SHOWN = 100


class LedgerComparison:
    """Compares exchange and ledger, and remembers since when each mismatch has been seen."""

    def __init__(
        self,
        tolerance_pct: Decimal,
        exchange_ms: Callable[[Moment], int] = lambda at: at.wall_ms,
        legs: Callable[[], Mapping[str, LedgerLegs]] = dict,
    ) -> None:
        """`tolerance_pct`: how far the two may differ, of the exchange's amount (P33_QTY_TOLERANCE_PCT).
        `exchange_ms`: the exchange's clock at a moment (epoch ms), by which positions are dated. `legs`:
        those of ledgers in hedge mode, as far as they are known."""
        self._legs = legs
        self._tolerance_pct = tolerance_pct
        self._exchange_ms = exchange_ms
        self._apart_since: dict[str, Moment] = {}
        self._looked_at: Moment | None = None

    def compare(self, snapshots: Iterable[Snapshot], ledgers: Mapping[str, float], now: Moment) -> Holdings:
        """Return the positions that are not flat on both sides; `ledgers`: the values of the ledger gauges.

        Mismatches come first, the oldest leading: the sides differ, or the amounts by more than is tolerated,
        and a close would be denied. The others follow by value.
        """
        apart, agreeing = self._ranked(snapshots, ledgers, now)
        rows = [*apart, *agreeing]
        return Holdings(
            tuple(rows[:_MOST_SHOWN]), len(apart), max(len(rows) - _MOST_SHOWN, 0), plain(self._tolerance_pct)
        )

    def mismatches(
        self, snapshots: Iterable[Snapshot], ledgers: Mapping[str, float], now: Moment
    ) -> list[Holding]:
        """Return all mismatches, as `compare` orders them."""
        return self._ranked(snapshots, ledgers, now)[0]

    def _ranked(
        self, snapshots: Iterable[Snapshot], ledgers: Mapping[str, float], now: Moment
    ) -> tuple[list[Holding], list[Holding]]:
        """Return the mismatches and what agrees, each in its order."""
        apart: list[tuple[float, Holding]] = []
        agreeing: list[tuple[Decimal, Holding]] = []
        since, self._apart_since = self._apart_since, {}
        known_legs = self._legs()
        for snapshot in snapshots:
            amount, gauge = snapshot.amount, ledgers.get(snapshot.symbol)
            legs = known_legs.get(snapshot.symbol)
            if amount == 0 and not gauge and legs is None:
                continue
            # The shortest text that stands for a float is the decimal that it was made from.
            ledger = None if gauge is None else Decimal(repr(gauge))
            difference, leg = ZERO if ledger is None else amount - ledger, ""
            if legs is not None and not self._is_apart(amount, difference):
                # Legs as read last, which those that do not add up any more are not.
                apart_legs = self._apart_legs(snapshot, legs) if legs.long + legs.short == ledger else []
                if apart_legs:
                    leg, amount, ledger = max(apart_legs, key=lambda each: abs(each[1] - each[2]))
                    difference = amount - ledger
                elif amount == 0 and not gauge:
                    continue
            if self._is_apart(amount, difference):
                first = since.get(snapshot.symbol) or self._since(snapshot, now)
                self._apart_since[snapshot.symbol] = first
                apart_sec = first.age_sec(now)
                apart.append((-apart_sec, _row(snapshot.symbol, amount, ledger, difference, apart_sec, leg)))
            else:
                row = _row(snapshot.symbol, amount, ledger, None, None)
                agreeing.append((-abs(amount) * (snapshot.mark_price or ZERO), row))
        self._looked_at = now
        apart.sort(key=lambda ranked: (ranked[0], ranked[1].symbol))
        agreeing.sort(key=lambda ranked: (ranked[0], ranked[1].symbol))
        return [row for _, row in apart], [row for _, row in agreeing]

    def _since(self, snapshot: Snapshot, now: Moment) -> Moment:
        """Return the earliest moment at which a mismatch that is seen for the first time may have begun.

        That is now if the last comparison is recent, else the exchange's last change of the position, but not
        before the last comparison.
        """
        looked_at = self._looked_at
        if looked_at is not None and looked_at.age_sec(now) <= _RECENTLY_SEC:
            return now
        changed_ms = max((row.update_time_ms for row in snapshot.legs), default=0)
        if not changed_ms:
            return now
        changed = now.earlier_by(max(self._exchange_ms(now) - changed_ms, 0) / 1000)
        return changed if looked_at is None else max(changed, looked_at)

    def _apart_legs(self, snapshot: Snapshot, ledger: LedgerLegs) -> list[tuple[str, Decimal, Decimal]]:
        exchange = exchange_legs(snapshot)
        if exchange is None:
            return []
        both = zip((Leg.LONG.value, Leg.SHORT.value), exchange, ledger, strict=True)
        return [each for each in both if self._is_apart(each[1], each[1] - each[2])]

    def _is_apart(self, amount: Decimal, difference: Decimal) -> bool:
        return abs(difference) * 100 > self._tolerance_pct * abs(amount)


def _row(
    symbol: str,
    amount: Decimal,
    ledger: Decimal | None,
    difference: Decimal | None,
    apart_sec: float | None,
    leg: str = "",
) -> Holding:
    tone = Tone.GOOD
    if apart_sec is not None:
        tone = Tone.WATCH if apart_sec < IN_FLIGHT_SEC else Tone.BAD
    elif ledger is None:
        tone = Tone.WATCH
    return Holding(
        symbol=symbol,
        exchange=plain(amount),
        ledger=None if ledger is None else plain(ledger),
        difference=None if difference is None else plain(difference),
        apart_sec=apart_sec,
        tone=tone,
        leg=leg,
    )
