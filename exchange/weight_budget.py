"""Request-weight budget of all callers, and the ban that stops them.

Binance counts weights per address and minute (`X-MBX-USED-WEIGHT-1M`). It answers 429 beyond the limit, and
418, a ban of minutes to days, to an address that continues. Source: USDⓈ-M Futures, "General Info", Limits.
Duration of a ban, also over a restart: exchange/request_gate.py.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from brain.moment import Moment
from clock import Clock
from exchange.errors import BudgetExhausted, RateLimited
from exchange.learnt_weights import LearntWeights
from exchange.protocol import Priority
from exchange.refusals import LONGEST_BAN_SEC, Ban
from exchange.request_gate import RequestGate

_WINDOW_SEC = 60.0
_MINUTE_MS = 60_000

#: Part of a limit that each priority may fill: decisions have 12 % more than periodic reads, a refresh after
#: a lost stream 5 % more; the last 3 % are for the listen key, without which there is no stream.
_MAY_FILL = {
    Priority.PACED: 0.80,
    Priority.PERIODIC: 0.80,
    Priority.ON_DEMAND: 0.92,
    Priority.RECOVERY: 0.97,
    Priority.VITAL: 1.0,
}
#: Part of our share that decisions leave to periodic reads (polls, audits, volumes). Paced reads need all of
#: the periodic part, or the candidates' snapshots become stale.
_KEPT_FOR_PERIODIC = 0.30
_KEPT_FOR_PACED = _MAY_FILL[Priority.PACED]
_PERIODIC = (Priority.PACED, Priority.PERIODIC)

_ADDRESS_LIMIT_PER_MIN = 2400
_ADDRESS_SHARE = 0.9


def periodic_weight_per_min(share_per_min: int) -> float:
    """Return the weight of periodic reads in any 60 s, if others at this address use at most a tenth."""
    return min(share_per_min, _ADDRESS_LIMIT_PER_MIN * _ADDRESS_SHARE) * _MAY_FILL[Priority.PERIODIC]


class WeightBudget:
    """Two limits on request weight, and the ban that stops all requests.

    Our share bounds our own requests of the last 60 s. 90 % of the exchange's limit bounds the weight used by
    this address: in the exchange's current minute by its last answer, plus what was sent since. Each priority
    may fill a part of both. Of our share, reads for decisions also leave free the unused rest of the periodic
    part, so that a burst of plans never delays polls and audits. Weight is reserved before a request is sent,
    and counts even if the request fails.
    """

    def __init__(
        self,
        clock: Clock,
        share_per_min: int,
        *,
        exchange_ms: Callable[[Moment], int] = lambda at: at.wall_ms,
        on_ban: Callable[[int], None] = lambda _until_wall_ms: None,
        banned_until_wall_ms: int | None = None,
    ) -> None:
        """Call `on_ban` with the end of each new ban (this host's wall clock, ms), to be stored for restarts.

        `banned_until_wall_ms` is the stored end."""
        self.share_per_min = share_per_min
        self.address_limit_per_min = _ADDRESS_LIMIT_PER_MIN
        self._clock = clock
        self._exchange_ms = exchange_ms
        self._on_ban = on_ban
        self._sent: deque[tuple[float, int, Priority]] = deque()
        self._own_used = 0
        self._periodic_used = 0
        self._paced_at_sec: float | None = None
        self._address_used = 0
        self._address_minute = 0
        self._gate = RequestGate()
        #: To be called after each request with the moment that `reserve` returned.
        self.answered, self.unanswered = self._gate.answered, self._gate.unanswered
        self.weights = LearntWeights(exchange_ms)
        if banned_until_wall_ms is not None:
            self.recall_ban(banned_until_wall_ms)

    @property
    def banned_until(self) -> Moment | None:
        """End of the present ban, or None."""
        until = self._gate.until
        # Monotonic clock only: a wall clock set forward must not end a ban.
        if until is None or until.monotonic_sec <= self._clock.now().monotonic_sec:
            return None
        return until

    @property
    def banned_why(self) -> str:
        """Answer of the exchange that began the latest ban."""
        return self._gate.why

    @property
    def banned_for_sec(self) -> float:
        """Remaining time of the present ban (seconds); 0 without one."""
        until = self.banned_until
        return 0.0 if until is None else until.monotonic_sec - self._clock.now().monotonic_sec

    @property
    def own_used(self) -> int:
        """Return the weight of our requests of the last 60 s."""
        self._forget(self._clock.now())
        return self._own_used

    @property
    def address_used(self) -> int:
        """Return the weight used by this address in the exchange's current minute, as far as known."""
        self._forget(self._clock.now())
        return self._address_used

    def reserve(self, weight: int, priority: Priority) -> Moment:
        """Reserve `weight` for a request that is sent right after. Raises RateLimited or BudgetExhausted.

        Returns the moment of sending, to be passed to `answered`, `refused` or `unanswered`.
        """
        now = self._clock.now()
        if (closed_until := self._gate.closed_until(now)) is not None:
            raise RateLimited(closed_until, f"{self._gate.why}: no requests for now")
        self._forget(now)
        part = _MAY_FILL[priority]
        if priority is Priority.PACED:
            self._paced_at_sec = now.monotonic_sec
        if not self._fits(weight, priority, self._own_used, self._periodic_used):
            raise BudgetExhausted(
                _later(now, self._room_in_sec(now, weight, priority)),
                "our share of the request weight is used up",
            )
        # Without a weight of its own, a request is stopped only where any would be answered by 429.
        address_share = _ADDRESS_SHARE * part if weight else 1.0
        if self._address_used + weight > self.address_limit_per_min * address_share:
            raise BudgetExhausted(
                _later(now, self._minute_ends_in_sec(now)), "the address's request weight is used up"
            )
        self._gate.sending(now)
        self._sent.append((now.monotonic_sec, weight, priority))
        self._own_used += weight
        self._periodic_used += weight if priority in _PERIODIC else 0
        self._address_used += weight
        return now

    def used_by_address(self, used: int, sent: Moment) -> None:
        """Record the weight used in the exchange's current minute, by the answer to a request sent at `sent`.

        An answer from over the end of a minute may have the count of either, and is left alone.
        """
        self._forget(self._clock.now())
        if self._exchange_ms(sent) // _MINUTE_MS == self._address_minute:
            # Never below the known count: an answer that arrives late has an older one.
            self._address_used = max(self._address_used, used)

    def ban(self, seconds: float, why: str = "the exchange answered 429 or 418") -> Moment:
        """Ban all requests for so long (seconds). Returns the end of the ban."""
        until = _later(self._clock.now(), min(seconds, LONGEST_BAN_SEC))
        return self._closed(lambda: self._gate.close(until, why))

    def refused(self, ban: Ban, sent: Moment) -> Moment:
        """Record that the request sent at `sent` was answered by a ban. Returns the end of the ban.

        It lasts as long as the exchange gave, and not shorter than the growing pause of its kind. Then one
        probe at a time is sent until one is answered.
        """
        now = self._clock.now()
        return self._closed(lambda: self._gate.refused(sent, now, ban.why, ban.pauses, ban.asked_sec))

    def recall_ban(self, until_wall_ms: int) -> None:
        """Begin the stored ban of an earlier process; ignored if over, or shorter than the present one."""
        now = self._clock.now()
        seconds = min((until_wall_ms - now.wall_ms) / 1000, LONGEST_BAN_SEC)
        if seconds > 0:
            self._gate.recall(_later(now, seconds), "the exchange refused this address before")

    def _closed(self, close: Callable[[], object]) -> Moment:
        """Apply `close` to the gate, report a new end to `on_ban`, and return the end."""
        before = self.banned_until
        close()
        until = self._gate.until
        if until is None:
            raise AssertionError("the gate was just closed")
        if until != before:
            self._on_ban(until.wall_ms)
        return until

    def _forget(self, now: Moment) -> None:
        # As `_room_in_sec` has it: rounded otherwise, a request could wait for this very moment.
        while self._sent and self._sent[0][0] + _WINDOW_SEC <= now.monotonic_sec:
            _, weight, priority = self._sent.popleft()
            self._own_used -= weight
            self._periodic_used -= weight if priority in _PERIODIC else 0
        minute = self._exchange_ms(now) // _MINUTE_MS
        if minute != self._address_minute:
            self._address_minute = minute
            self._address_used = 0

    def _fits(self, weight: int, priority: Priority, own_used: int, periodic_used: int) -> bool:
        """Return True if a request stays within our share, of which `own_used` is used."""
        room = self.share_per_min * _MAY_FILL[priority] - own_used - weight
        kept = self._kept_for_periodic()
        if priority is Priority.ON_DEMAND:
            return room >= max(0.0, kept - periodic_used)
        if priority in _PERIODIC and periodic_used + weight <= kept:
            return own_used + weight <= self.share_per_min * _MAY_FILL[Priority.ON_DEMAND]
        return room >= 0

    def _kept_for_periodic(self) -> float:
        paced_sec = self._paced_at_sec
        paced = paced_sec is not None and paced_sec > self._clock.now().monotonic_sec - _WINDOW_SEC
        return self.share_per_min * (_KEPT_FOR_PACED if paced else _KEPT_FOR_PERIODIC)

    def _room_in_sec(self, now: Moment, weight: int, priority: Priority) -> float:
        """Return the seconds until enough of our own requests have left the 60 s window."""
        own, periodic = self._own_used, self._periodic_used
        for sent_sec, sent_weight, sent_priority in self._sent:
            own -= sent_weight
            periodic -= sent_weight if sent_priority in _PERIODIC else 0
            if self._fits(weight, priority, own, periodic):
                return sent_sec + _WINDOW_SEC - now.monotonic_sec
        return _WINDOW_SEC

    def _minute_ends_in_sec(self, now: Moment) -> float:
        return 60 - self._exchange_ms(now) % _MINUTE_MS / 1000


def _later(moment: Moment, seconds: float) -> Moment:
    return moment.earlier_by(-seconds)
