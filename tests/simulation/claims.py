"""Invariant (a): a snapshot that is written was true at its `ts_epoch_ms`, by the exchange's own history.

A claim names whole milliseconds of the writing host's wall clock. It is mapped to true time by every offset
that this clock had recently, and holds if by one of them the position was that within a millisecond. A claim
by the stream may be late by what the host cannot know of the exchange's clock; and where the exchange
announced a change later than any proof reaches back, or never, the claim may lag behind it: by as long as the
announcement took, or by the audit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal

from brain.identifiers import FencingToken
from brain.moment import Moment
from simulator.history import PositionSide
from store.keys import Keys
from store.memory.memory_redis import MemoryRedis
from tests.simulation.clocks import SteppedClock, true_ms
from tests.simulation.streams import PrivateStreams
from tests.simulation.venue import Venue
from tests.simulation.verdicts import ViolationError, require

#: Whole milliseconds on both sides: each may be rounded.
ROUNDING_MS = 1
#: A step of the host's clock is remembered for so long in what is written: in reads and proofs.
_STEP_REMEMBERED_MS = 75_000
#: A request takes no longer (ms).
_LONGEST_READ_MS = 5_000
_BY_READ = ("rest", "ondemand")
#: A step of the exchange's clock falsifies the dates of its transactions until clocks are compared again:
#: every minute, where the exchange answers.
COMPARED_MS = 90_000
#: By more than this no event is dated ahead that may come after its date (ms).
_LONGEST_DATED_AHEAD_MS = 5_100
#: Of changes so close to one another a read may show either.
_RACE_MS = 2_500
#: A read is merged, and a proof that was under way is written, within this.
_MERGED_MS = 100
_AMOUNTS: dict[PositionSide, bytes] = {"BOTH": b"position_amt", "LONG": b"long_amt", "SHORT": b"short_amt"}


class Claims:
    """Looks at every snapshot in the moment in which it is written."""

    def __init__(
        self,
        venue: Venue,
        streams: PrivateStreams,
        redis: MemoryRedis,
        keys: Keys,
        clock_of: Callable[[str], SteppedClock],
        unsure_ms: Callable[[str, int], int],
        shown_ms: Callable[[str, str, int], int | None],
        audit_ms: Callable[[int], int],
        trust_lost_at: Callable[[str], Moment | None],
    ) -> None:
        """`clock_of` gives a writer's clock; `unsure_ms`, how far its idea of the exchange's clock may have
        been off since a moment, by server time; `shown_ms`, when a read showed a writer a symbol's change
        of a moment; `audit_ms`, how long a lost event may live as of a moment; `trust_lost_at`, when
        a writer last lost trust in its stream."""
        self.count = 0
        self._venue = venue
        self._streams = streams
        self._redis = redis
        self._keys = keys
        self._clock_of = clock_of
        self._unsure_ms = unsure_ms
        self._shown_ms = shown_ms
        self._audit_ms = audit_ms
        self._trust_lost_at = trust_lost_at
        self._latest_ms: dict[str, tuple[str, int]] = {}

    def written(self, writer: str, fence: FencingToken, symbols: Iterable[str]) -> None:
        """Judge the snapshots of `symbols` that were written."""
        clock = self._clock_of(writer)
        for symbol in symbols:
            self.count += 1
            stored = self._redis.hgetall(self._keys.snapshot(symbol))
            shown_ms = int(stored[b"ts_epoch_ms"])
            for leg in self._venue.legs_of(symbol):
                amount = Decimal(stored[_AMOUNTS[leg]].decode())
                self.check(writer, symbol, leg, amount, shown_ms, stored[b"verified_by"].decode())
            # A proof of before trust was lost counts no more: the row may be shown as of its own date.
            whose = f"{fence} {clock.offset_ms} {self._trust_lost_at(writer)}"
            before = self._latest_ms.get(symbol)
            if before is not None and before[0] == whose and not self._stepped_recently(clock):
                # A faster push may show that the one before it was dated a little late.
                latest_ms = shown_ms + self._streams.delay_most_ms(true_ms() - _STEP_REMEMBERED_MS)
                require(before[1] <= latest_ms, "a", f"{symbol}: written as of {shown_ms} after {before[1]}")
            self._latest_ms[symbol] = whose, shown_ms

    def check(
        self, writer: str, symbol: str, leg: PositionSide, amount: Decimal, shown_ms: int, by: str
    ) -> None:
        """Raises ViolationError if the leg was not `amount` at `shown_ms` of the writer's clock."""
        clock = self._clock_of(writer)
        now_ms = true_ms()
        wrong: list[str] = []
        for offset_ms in clock.offsets_since(now_ms - _STEP_REMEMBERED_MS):
            at_ms = shown_ms - offset_ms
            if at_ms > now_ms + ROUNDING_MS:
                wrong.append(f"{at_ms - now_ms} ms in the future")
                continue
            # Nearly always it was just that; only otherwise does it matter what may excuse it.
            if amount in self._venue.amounts_between(symbol, leg, at_ms - ROUNDING_MS, at_ms + ROUNDING_MS):
                return
            held = self._possible(writer, symbol, leg, at_ms, by)
            if amount in held:
                return
            wrong.append(f"{sorted(held)} at {at_ms - true_ms(0.0)} ms, {now_ms - at_ms} ms ago")
        last = [
            f"{change.at_ms - true_ms(0.0)}: {change.amount} (T {change.transaction_ms - true_ms(0.0)})"
            for change in self._venue.changes[symbol, leg][-6:]
        ]
        raise ViolationError("a", f"{symbol} {leg} claimed {amount} by {by}, was {wrong}; changes {last}")

    def _possible(self, writer: str, symbol: str, leg: PositionSide, at_ms: int, by: str) -> set[Decimal]:
        # The exchange itself dates changes of one millisecond one after the other.
        misled_ms = ROUNDING_MS + self._venue.dated_ahead_ms(at_ms - _STEP_REMEMBERED_MS)
        # A step of the exchange's clock makes what changed after a read look older than it, or the reverse.
        misled_ms += self.clock_lag_ms(at_ms)
        if by in _BY_READ:
            held = self._venue.amounts_between(symbol, leg, at_ms - misled_ms, at_ms + misled_ms)
            # A row without a date, or dated back (a wiped account, a restored position): if that came about
            # while it was read, it looks like that all along.
            faults = self._venue.faults
            undated = faults.flat_rows_lose_update_time or faults.v2_position_risk != "served"
            for change in self._venue.changes_since(symbol, leg, at_ms):
                in_time = change.at_ms <= at_ms + misled_ms + _LONGEST_READ_MS
                dated_back = change.transaction_ms - self._venue.clock.offset_ms <= at_ms
                if in_time and (dated_back or (undated and not change.amount)):
                    held.add(change.amount)
            return held
        # The exchange's clock is known by its pushes, and by what it says: the better of the two counts.
        since_ms = at_ms - _STEP_REMEMBERED_MS
        late_ms = self._streams.delay_most_ms(since_ms)
        # Where pushes came late and all at once, none of them shows how fast they are.
        at_once = self._streams.came_at_once_since(since_ms)
        # The least that server time says is late by the whole round trip where the answer was held up.
        unsure_ms = 2 * self._unsure_ms(writer, since_ms)
        if len(self._venue.legs_of(symbol)) == 1:
            late_ms = unsure_ms if at_once else min(late_ms, unsure_ms)
        elif at_once:
            late_ms = max(late_ms, unsure_ms)
        # Two legs have one time: where events overtake each other, the leg without an event lags behind.
        lag_ms = misled_ms + late_ms
        for each in self._venue.legs_of(symbol):
            for change in self._venue.changes_since(symbol, each, at_ms - _LONGEST_DATED_AHEAD_MS):
                # An event dated ahead that comes after its date looks like any other.
                if abs(change.transaction_ms - self._venue.clock.offset_ms - at_ms) <= _MERGED_MS:
                    lag_ms = max(lag_ms, at_ms - change.at_ms)
        for start_ms, end_ms in self._venue.unannounced[symbol]:
            until_ms = end_ms if end_ms >= 0 else self._noticed_ms(writer, symbol, start_ms, at_ms)
            if start_ms - ROUNDING_MS <= at_ms <= until_ms + ROUNDING_MS:
                lag_ms = max(lag_ms, at_ms - start_ms + 2 * ROUNDING_MS)
        return self._venue.amounts_between(symbol, leg, at_ms - lag_ms, at_ms + misled_ms)

    def _noticed_ms(self, writer: str, symbol: str, changed_ms: int, at_ms: int) -> int:
        """Return the latest time to notice a change without an event: that of the first read to show it.

        As of `at_ms`: what was claimed then may be written again when there are reads once more.
        """
        until_ms = changed_ms + self._audit_ms(at_ms)
        recent = [
            change.at_ms
            for leg in self._venue.legs_of(symbol)
            for change in self._venue.changes_since(symbol, leg, changed_ms - _RACE_MS)
        ]
        if any(at_ms != changed_ms for at_ms in recent):
            # What is known may be too new, or may race with another change's event.
            return until_ms
        shown_ms = self._shown_ms(writer, symbol, changed_ms)
        return until_ms if shown_ms is None else min(until_ms, shown_ms + _MERGED_MS)

    def _stepped_recently(self, clock: SteppedClock) -> bool:
        now_ms = true_ms()
        return bool(self.clock_lag_ms(now_ms)) or len(clock.offsets_since(now_ms - _STEP_REMEMBERED_MS)) > 1

    def clock_lag_ms(self, at_ms: int) -> int:
        """Return the greatest error (ms) in dating transactions after a step of the exchange's clock."""
        offsets = self._venue.clock.offsets_since(at_ms - COMPARED_MS)
        return max(offsets) - min(offsets)
