"""How much may be asked of the exchange, by all callers together, and when nothing may be asked at all.

Binance counts weights per address and minute (`X-MBX-USED-WEIGHT-1M`), answers 429 beyond the limit, and
418, a ban of minutes to days, to those who go on. Source: USDⓈ-M Futures, "General Info", Limits.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from brain.moment import Moment
from clock import Clock
from exchange.endpoints import Endpoint
from exchange.errors import BudgetExhausted, RateLimited
from exchange.learnt_weights import LearntWeights
from exchange.protocol import Priority
from exchange.refusals import LONGEST_BAN_SEC, Ban
from exchange.request_gate import RequestGate

_WINDOW_SEC = 60.0

#: How much of a limit each priority may fill. What periodic reads leave free is there for decisions, what
#: those leave is for the refresh after lost trust, and the rest for the listen key, without which there is
#: no stream.
_MAY_FILL = {
    Priority.PACED: 0.80,
    Priority.PERIODIC: 0.80,
    Priority.ON_DEMAND: 0.92,
    Priority.RECOVERY: 0.97,
    Priority.VITAL: 1.0,
}
#: The part of our share that decisions leave to periodic reads, used or not: polls, audits, volumes. Paced
#: reads need all that periodic reads may fill, or the candidates' snapshots grow stale.
_KEPT_FOR_PERIODIC = 0.30
_KEPT_FOR_PACED = _MAY_FILL[Priority.PACED]
_PERIODIC = (Priority.PACED, Priority.PERIODIC)

_ADDRESS_LIMIT_PER_MIN = 2400
_ADDRESS_SHARE = 0.9


def periodic_weight_per_min(share_per_min: int) -> float:
    """What periodic reads may use in any 60 seconds, while others at this address use a tenth at most."""
    return min(share_per_min, _ADDRESS_LIMIT_PER_MIN * _ADDRESS_SHARE) * _MAY_FILL[Priority.PERIODIC]


class WeightBudget:
    """Two ceilings, and the ban that stops everybody.

    Our own requests of the last 60 seconds stay within our share. What the exchange says everybody at this
    address has used in its current minute, and what we sent since it said so, stays within 90 % of its limit.
    Each priority may fill a part of both. Of our share, reads for decisions also leave free what periodic
    reads have not used yet of their own part, so that a burst of plans never delays polls and audits.
    Weight is reserved before a request is sent, and is used up whatever becomes of the request.
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
        """`on_ban` is told the end of each new ban (this host's wall clock, ms), to be remembered across
        restarts; `banned_until_wall_ms` is what was remembered."""
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
        self.weights = LearntWeights(exchange_ms)
        if banned_until_wall_ms is not None:
            self.recall_ban(banned_until_wall_ms)

    @property
    def banned_until(self) -> Moment | None:
        """The end of the ban that is on, or None."""
        until = self._gate.until
        # The monotonic clock alone: a wall clock set forward must not end a ban.
        if until is None or until.monotonic_sec <= self._clock.now().monotonic_sec:
            return None
        return until

    @property
    def banned_why(self) -> str:
        """Answer of the exchange that led to the latest ban."""
        return self._gate.why

    @property
    def banned_for_sec(self) -> float:
        """How long the ban that is on still lasts; 0 without one."""
        until = self.banned_until
        return 0.0 if until is None else until.monotonic_sec - self._clock.now().monotonic_sec

    @property
    def own_used(self) -> int:
        """Weight of our requests within the last 60 seconds."""
        self._forget(self._clock.now())
        return self._own_used

    @property
    def address_used(self) -> int:
        """What everybody at this address has used in the exchange's current minute, as far as known."""
        self._forget(self._clock.now())
        return self._address_used

    def reserve(self, weight: int, priority: Priority) -> Moment:
        """Take `weight` for a request that is sent right after. Raises RateLimited or BudgetExhausted.

        Returns the moment of sending that `answered`, `refused` and `unanswered` want back.
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
        if self._address_used + weight > self.address_limit_per_min * _ADDRESS_SHARE * part:
            raise BudgetExhausted(
                _later(now, self._minute_ends_in_sec(now)), "the address's request weight is used up"
            )
        self._gate.sending(now)
        self._sent.append((now.monotonic_sec, weight, priority))
        self._own_used += weight
        self._periodic_used += weight if priority in _PERIODIC else 0
        self._address_used += weight
        return now

    def used_by_address(self, used: int) -> None:
        """The exchange said: so much was used in its current minute."""
        self._forget(self._clock.now())
        # Never below what is known already: an answer that was overtaken carries an older count.
        self._address_used = max(self._address_used, used)

    def cost(self, endpoint: Endpoint) -> int:
        """The weight of a request to `endpoint`, as far as known."""
        return self.weights.of(endpoint)

    def ban(self, seconds: float, why: str = "the exchange answered 429 or 418") -> Moment:
        """No requests for so long (seconds). Returns the end of the ban that stands."""
        until = _later(self._clock.now(), min(seconds, LONGEST_BAN_SEC))
        return self._closed(lambda: self._gate.close(until, why))

    def refused(self, ban: Ban, sent: Moment) -> Moment:
        """The request sent at `sent` met a ban. Returns the end of the ban that stands.

        It lasts as long as the exchange asked for, and not shorter than the growing pause of its kind. After
        it, one request at a time until one is answered.
        """
        now = self._clock.now()
        return self._closed(lambda: self._gate.refused(sent, now, ban.why, ban.pauses, ban.asked_sec))

    def answered(self, sent: Moment) -> None:
        """The exchange answered the request sent at `sent`: a ban that had ended by then is over."""
        self._gate.answered(sent)

    def unanswered(self, sent: Moment) -> None:
        """The request sent at `sent` had no answer that shows whether a ban is over."""
        self._gate.unanswered(sent)

    def recall_ban(self, until_wall_ms: int) -> None:
        """A ban that an earlier process met; ignored if over, or shorter than the standing one."""
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
        while self._sent and self._sent[0][0] <= now.monotonic_sec - _WINDOW_SEC:
            _, weight, priority = self._sent.popleft()
            self._own_used -= weight
            self._periodic_used -= weight if priority in _PERIODIC else 0
        minute = self._exchange_ms(now) // 60_000
        if minute != self._address_minute:
            self._address_minute = minute
            self._address_used = 0

    def _fits(self, weight: int, priority: Priority, own_used: int, periodic_used: int) -> bool:
        """Return True if a request stays within our share, with so much of it used."""
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
        """Seconds until enough of our own requests have left the window."""
        own, periodic = self._own_used, self._periodic_used
        for sent_sec, sent_weight, sent_priority in self._sent:
            own -= sent_weight
            periodic -= sent_weight if sent_priority in _PERIODIC else 0
            if self._fits(weight, priority, own, periodic):
                return sent_sec + _WINDOW_SEC - now.monotonic_sec
        return _WINDOW_SEC

    def _minute_ends_in_sec(self, now: Moment) -> float:
        return 60 - self._exchange_ms(now) % 60_000 / 1000


def _later(moment: Moment, seconds: float) -> Moment:
    return moment.earlier_by(-seconds)
