"""Positions on the exchange compared with the ledger, for page and `/status`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from typing import NamedTuple

import trio

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
_AT_A_TIME = 50


class _Compared(NamedTuple):
    """Signed amounts of a symbol, or of `leg`. `since`: None where they agree. `value`: in quote currency."""

    symbol: str
    amount: Decimal
    ledger: Decimal | None
    difference: Decimal
    since: Moment | None
    value: Decimal
    leg: str


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
        found = [each for each in self._compared(snapshots, ledgers, now) if each is not None]
        apart = _mismatches(found, now)
        agreeing = sorted((each for each in found if each.since is None), key=_by_value)
        left = max(_MOST_SHOWN - len(apart), 0)
        rows = (*apart[:_MOST_SHOWN], *(_row(each, None) for each in agreeing[:left]))
        return Holdings(rows, len(apart), len(found) - len(rows), plain(self._tolerance_pct))

    def mismatches(
        self, snapshots: Iterable[Snapshot], ledgers: Mapping[str, float], now: Moment
    ) -> list[Holding]:
        """Return all mismatches, as `compare` orders them."""
        return _mismatches(self._compared(snapshots, ledgers, now), now)

    async def mismatches_in_parts(
        self, snapshots: Iterable[Snapshot], ledgers: Mapping[str, float], now: Moment
    ) -> list[Holding]:
        """Return the same; other tasks run after every 50 snapshots."""
        found: list[_Compared] = []
        for number, each in enumerate(self._compared(snapshots, ledgers, now), 1):
            if each is not None and each.since is not None:
                found.append(each)
            if number % _AT_A_TIME == 0:
                await trio.lowlevel.checkpoint()
        return _mismatches(found, now)

    def _compared(
        self, snapshots: Iterable[Snapshot], ledgers: Mapping[str, float], now: Moment
    ) -> Iterator[_Compared | None]:
        """Yield the comparison of each snapshot, None where all is flat; remember at the end what differs."""
        apart_since: dict[str, Moment] = {}
        known_legs = self._legs()
        for snapshot in snapshots:
            amount, gauge = snapshot.amount, ledgers.get(snapshot.symbol)
            legs = known_legs.get(snapshot.symbol)
            if amount == 0 and not gauge and legs is None:
                yield None
                continue
            # The shortest text that stands for a float is the decimal that it was made from.
            ledger = None if gauge is None else Decimal(repr(gauge))
            difference, leg = ZERO if ledger is None else amount - ledger, ""
            # The legs were read a while ago: since they last moved they do not add up to the gauge.
            if (
                legs is not None
                and legs.long + legs.short == ledger
                and not self._is_apart(amount, difference)
            ):
                for name, held, booked in self._apart_legs(snapshot, legs):
                    leg, amount, ledger, difference = name, held, booked, held - booked
            since = None
            if self._is_apart(amount, difference):
                since = self._apart_since.get(snapshot.symbol) or self._since(snapshot, now)
                apart_since[snapshot.symbol] = since
            elif amount == 0 and not gauge:
                yield None
                continue
            value = abs(amount) * (snapshot.mark_price or ZERO)
            yield _Compared(snapshot.symbol, amount, ledger, difference, since, value, leg)
        self._apart_since, self._looked_at = apart_since, now

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
        """Return the leg that differs most with both amounts, if one differs."""
        exchange = exchange_legs(snapshot)
        if exchange is None:
            return []
        both = zip((Leg.LONG.value, Leg.SHORT.value), exchange, ledger, strict=True)
        apart = [each for each in both if self._is_apart(each[1], each[1] - each[2])]
        return sorted(apart, key=lambda each: -abs(each[1] - each[2]))[:1]

    def _is_apart(self, amount: Decimal, difference: Decimal) -> bool:
        return abs(difference) * 100 > self._tolerance_pct * abs(amount)


def _mismatches(compared: Iterable[_Compared | None], now: Moment) -> list[Holding]:
    rows = [_row(each, each.since.age_sec(now)) for each in compared if each is not None and each.since]
    return sorted(rows, key=lambda row: (-(row.apart_sec or 0.0), row.symbol))


def _by_value(compared: _Compared) -> tuple[Decimal, str]:
    return -compared.value, compared.symbol


def _row(compared: _Compared, apart_sec: float | None) -> Holding:
    tone, ledger = Tone.GOOD, compared.ledger
    if apart_sec is not None:
        tone = Tone.WATCH if apart_sec < IN_FLIGHT_SEC else Tone.BAD
    elif ledger is None:
        tone = Tone.WATCH
    return Holding(
        symbol=compared.symbol,
        exchange=plain(compared.amount),
        ledger=None if ledger is None else plain(ledger),
        difference=None if apart_sec is None else plain(compared.difference),
        apart_sec=apart_sec,
        tone=tone,
        leg=compared.leg,
    )
