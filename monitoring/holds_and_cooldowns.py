"""Reads holds and cooldowns from Redis for those who look on: seldom, within a deadline, and never more."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

import trio

from brain.numbers import NotANumberError, parse_decimal
from clock import Clock
from explanation.wrong_keys import cooldown_problem, hold_problem
from page.content import Restrained, Restraints
from store.errors import StoreError
from store.keys import Keys
from store.protocol import OnlookerStore
from store.records import LastExecution
from store.records import Restraints as Stored
from store.stored_values import UNREADABLE

_PATIENCE_SEC = 0.5
_EVERY_SEC = 3.0
_MOST_SYMBOLS = 2_000
_MOST_BOOKED = 200
_MOST_SHOWN = 100


class RestraintReading:
    """Keeps what was read last, so that many onlookers cost no more than one."""

    def __init__(self, store: OnlookerStore, clock: Clock, cooldown_sec: float, *, keys: Keys) -> None:
        self._store = store
        self._keys = keys
        self._clock = clock
        self._cooldown_sec = cooldown_sec
        self._read: Stored | None = None
        self._unread: str | None = None
        self._at_sec = float("-inf")
        self._bookings: Mapping[str, float] = {}
        self._booked_sec: dict[str, float] = {}

    async def now(self, symbols: Sequence[str], bookings: Mapping[str, float]) -> Restraints:
        """What restrains `symbols` now, as last read; `bookings` counts those of each ledger so far.

        Where a ledger was booked lately, its order time counts for the cooldown as well as the key.
        """
        now_sec = self._clock.now().monotonic_sec
        if now_sec - self._at_sec >= _EVERY_SEC:
            self._at_sec = now_sec
            self._note(bookings, now_sec)
            booked = sorted(self._booked_sec, key=lambda symbol: -self._booked_sec[symbol])[:_MOST_BOOKED]
            self._unread = f"Redis did not answer within {_PATIENCE_SEC:g} s"
            with trio.move_on_after(_PATIENCE_SEC):
                try:
                    self._read = await self._store.restraints(symbols[:_MOST_SYMBOLS], booked)
                    self._unread = None
                except StoreError as error:
                    self._unread = f"Redis: {error}"
        if self._read is None or self._unread is not None:
            return Restraints(holds=(), cooldowns=(), left_out=0, unread=self._unread)
        return self._shown(self._read, now_sec - self._at_sec)

    def _note(self, bookings: Mapping[str, float], now_sec: float) -> None:
        """Learn which ledgers were booked since the last look; forget those whose cooldown is over."""
        for symbol, count in bookings.items():
            if self._bookings.get(symbol) != count:
                self._booked_sec[symbol] = now_sec
        self._bookings = dict(bookings)
        for symbol, booked_sec in list(self._booked_sec.items()):
            if now_sec - booked_sec > self._cooldown_sec + _EVERY_SEC:
                del self._booked_sec[symbol]

    def _shown(self, read: Stored, ago_sec: float) -> Restraints:
        holds = [
            Restrained(
                hold.symbol, None if hold.expires_in_ms is None else hold.expires_in_ms / 1000 - ago_sec
            )
            for hold in read.holds
        ]
        holds = [each for each in holds if each.left_sec is None or each.left_sec > 0]
        cooldowns: list[Restrained] = []
        for execution in read.executions:
            left_sec = self._left_sec(execution, read.now_ms / 1000 + ago_sec)
            if left_sec is None or left_sec > 0:
                cooldowns.append(Restrained(execution.symbol, left_sec))
        cooldowns.sort(key=lambda each: (each.left_sec is not None, -(each.left_sec or 0.0), each.symbol))
        return Restraints(
            holds=tuple(holds[:_MOST_SHOWN]),
            cooldowns=tuple(cooldowns[:_MOST_SHOWN]),
            left_out=max(len(holds) - _MOST_SHOWN, 0) + max(len(cooldowns) - _MOST_SHOWN, 0),
            unread=None,
            problems=tuple(islice(self._problems(read), _MOST_SHOWN)),
        )

    def _problems(self, read: Stored) -> Iterator[str]:
        for symbol, kind in read.hold_kinds.items():
            if (problem := hold_problem(self._keys.hold(symbol), kind=kind)) is not None:
                yield problem
        for execution in read.executions:
            if execution.cooldown is None:
                continue
            problem = cooldown_problem(
                self._keys.cooldown(execution.symbol),
                kind=read.cooldown_kinds.get(execution.symbol, "string"),
                stored=None if execution.cooldown == UNREADABLE else execution.cooldown,
            )
            if problem is not None:
                yield problem

    def _left_sec(self, execution: LastExecution, now_sec: float) -> float | None:
        """How long the cooldown still lasts; None for a key that cannot be read, which denies for good.

        A time more than one cooldown ahead is nobody's clock, and counts for nothing: as decisions have it.
        """
        left_sec = 0.0
        for text, unit_sec in ((execution.cooldown, 0.001), (execution.last_order_time_epoch, 1.0)):
            if text is None or (text is not execution.cooldown and not text):
                continue
            try:
                ago_sec = now_sec - float(parse_decimal(text)) * unit_sec
            except NotANumberError:
                if text is execution.cooldown:
                    return None
                continue
            if ago_sec >= -self._cooldown_sec:
                left_sec = max(left_sec, self._cooldown_sec - ago_sec)
        return left_sec
