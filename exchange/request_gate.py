"""Gate that stops all requests after a refusal (429, 418, 403), for a growing pause, then lets one through.

Stops all REST callers, and no WebSocket: `WeightBudget.reserve` (exchange/weight_budget.py) asks this gate
before each request of the process, and raises RateLimited while it is closed. Duration: the longer of the
time that the exchange gave (`Retry-After`, "banned until") and a pause that grows with each refusal in a row
(`_PAUSES` in exchange/refusals.py: from 5 s up to 120 s after a 429). Then one probe at a time, so that
waiting callers do not all ask at once; an answered probe opens the gate.
Restart: the end of a ban is stored in Redis (`<prefix>:p33:exchange_ban_until_ms`) and closes the gate of the
next process before its first request (actors/ban_keeper.py); the number of refusals is not, so that its
pauses grow from the first.
`Transport` keeps one more gate for each endpoint that is in maintenance.
"""

from __future__ import annotations

from brain.moment import Moment
from clocks.growing_delay import GrowingDelay

#: While a probe is under way, others check the gate at this interval, for at most this long (seconds).
_LOOK_AGAIN_SEC = 1.0
_LONGEST_TRIAL_SEC = 10.0


class RequestGate:
    """Gate that closes at a refusal and opens for all once a later request was answered."""

    def __init__(self) -> None:
        self.until: Moment | None = None
        self.why = ""
        self._refusals: dict[GrowingDelay, int] = {}
        self._refused_until: Moment | None = None
        self._asks_singly = False
        self._trial_sec: float | None = None

    def closed_until(self, now: Moment) -> Moment | None:
        """Return the moment before which nothing may be sent; None: a request may be sent now."""
        if self.until is not None and now.monotonic_sec < self.until.monotonic_sec:
            return self.until
        trial_sec = self._trial_sec
        if trial_sec is not None and now.monotonic_sec < trial_sec + _LONGEST_TRIAL_SEC:
            return now.earlier_by(-_LOOK_AGAIN_SEC)
        return None

    def sending(self, now: Moment) -> None:
        """Record that a request is sent; after a refusal it is the only probe."""
        if self._asks_singly:
            self._trial_sec = now.monotonic_sec

    def refused(
        self, sent: Moment, now: Moment, why: str, pauses: GrowingDelay, asked_sec: float = 0.0
    ) -> Moment:
        """Record that the request sent at `sent` was refused. Returns the end of the pause.

        The pause is the longer of `asked_sec` and that of `pauses`; each kind of refusal grows by itself.
        Refused requests that were under way together count as one refusal.
        """
        met_before = self._refusals.get(pauses, 0)
        own_end = self._refused_until
        # A pause recalled from another process while this request was under way is not its own.
        if not met_before or own_end is None or sent.monotonic_sec >= own_end.monotonic_sec:
            self._refusals[pauses] = met_before + 1
        self._asks_singly, self._trial_sec = True, None
        until = now.earlier_by(-max(asked_sec, pauses.after(self._refusals[pauses])))
        if own_end is None or own_end.monotonic_sec < until.monotonic_sec:
            self._refused_until = until
        self.close(until, why)
        return self.until or until

    def close(self, until: Moment, why: str) -> None:
        """Close until `until`, unless the gate is closed for longer."""
        if self.until is None or self.until.monotonic_sec < until.monotonic_sec:
            self.until, self.why = until, why

    def recall(self, until: Moment, why: str) -> None:
        """Close as after a refusal with the end `until`; then one probe at a time."""
        self._asks_singly = True
        self.close(until, why)

    def answered(self, sent: Moment) -> None:
        """Record an answer. If its request was sent after the pause, the gate opens."""
        if self.until is None or sent.monotonic_sec >= self.until.monotonic_sec:
            self.until, self._asks_singly, self._trial_sec = None, False, None
            self._refusals.clear()
            self._refused_until = None

    def unanswered(self, sent: Moment) -> None:
        """Record that a request ended without an answer: the next one is the probe."""
        if self._trial_sec == sent.monotonic_sec:
            self._trial_sec = None
