"""Caches holds and cooldowns for the operator page: one read per 3 s at most, 0.5 s timeout."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

from brain.decisions.position_checks import since_execution
from brain.ledger.ledger import ledger_or_problem
from brain.numbers import NotANumberError
from clock import Clock
from explanation.wrong_keys import cooldown_problem, hold_problem
from monitoring.patience import UnreadError, read_in_time
from page.content import HoldsAndCooldowns, TimeLeft
from store.keys import Keys
from store.protocol import DiagnosticsStore
from store.records import HoldsAndCooldowns as Stored
from store.records import LastExecution
from store.stored_values import UNREADABLE

_EVERY_SEC = 3.0
_MOST_SYMBOLS = 2_000
_MOST_BOOKED = 200
_MOST_SHOWN = 100


class HoldsAndCooldownsCache:
    """Reads Redis when the last answer is older than 3 s, however many requests there are."""

    def __init__(self, store: DiagnosticsStore, clock: Clock, cooldown_sec: float, *, keys: Keys) -> None:
        self._store = store
        self._keys = keys
        self._clock = clock
        self._cooldown_sec = cooldown_sec
        self._read: Stored | None = None
        self._unread: str | None = None
        self._at_sec = float("-inf")
        self._bookings: Mapping[str, float] = {}
        self._booked_sec: dict[str, float] = {}

    async def now(self, symbols: Sequence[str], bookings: Mapping[str, float]) -> HoldsAndCooldowns:
        """Return the holds and cooldowns of `symbols`; `bookings` counts those of each ledger so far.

        A decision reads cooldown key and ledger. Here ledgers are read only of symbols that were booked since
        the last cooldown.
        """
        now_sec = self._clock.now().monotonic_sec
        if now_sec - self._at_sec >= _EVERY_SEC:
            self._note(bookings, now_sec)
            booked = sorted(self._booked_sec, key=lambda symbol: -self._booked_sec[symbol])[:_MOST_BOOKED]
            try:
                self._read = await read_in_time(
                    self._store.holds_and_cooldowns(symbols[:_MOST_SYMBOLS], booked)
                )
                self._unread = None
            except UnreadError as error:
                self._unread = str(error)
            self._at_sec = now_sec
        if self._read is None or self._unread is not None:
            return HoldsAndCooldowns(holds=(), cooldowns=(), left_out=0, unread=self._unread)
        return self._shown(self._read, now_sec - self._at_sec)

    def _note(self, bookings: Mapping[str, float], now_sec: float) -> None:
        """Add the ledgers that were booked since the last read; remove those whose cooldown is over."""
        for symbol, count in bookings.items():
            if self._bookings.get(symbol) != count:
                self._booked_sec[symbol] = now_sec
        self._bookings = dict(bookings)
        for symbol, booked_sec in list(self._booked_sec.items()):
            if now_sec - booked_sec > self._cooldown_sec + _EVERY_SEC:
                del self._booked_sec[symbol]

    def _shown(self, read: Stored, ago_sec: float) -> HoldsAndCooldowns:
        holds = [
            TimeLeft(hold.symbol, None if hold.expires_in_ms is None else hold.expires_in_ms / 1000 - ago_sec)
            for hold in read.holds
        ]
        holds = [each for each in holds if each.left_sec is None or each.left_sec > 0]
        cooldowns: list[TimeLeft] = []
        for execution in read.executions:
            left_sec = self._left_sec(execution, read.now_ms + ago_sec * 1000)
            if left_sec is None or left_sec > 0:
                cooldowns.append(TimeLeft(execution.symbol, left_sec))
        cooldowns.sort(key=lambda each: (each.left_sec is not None, -(each.left_sec or 0.0), each.symbol))
        return HoldsAndCooldowns(
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

    def _left_sec(self, execution: LastExecution, now_ms: float) -> float | None:
        """Return how long the cooldown denies plans (s); None: until its unreadable key is corrected."""
        ledger = ledger_or_problem(execution.ledger)
        try:
            since_sec, _ = since_execution(ledger, execution.cooldown, now_ms, self._cooldown_sec)
        except NotANumberError:
            return None
        return 0.0 if since_sec is None else self._cooldown_sec - since_sec
