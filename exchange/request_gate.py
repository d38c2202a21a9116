"""Holds requests back after the exchange refused one: for a pause that grows, then one request at a time.

A refusal without a usable moment must not be answered by many requests a second, and the callers that all
wait for the end of a ban must not all ask at once when it comes.
"""

from __future__ import annotations

import msgspec

from brain.moment import Moment

#: Each further refusal in a row makes the shortest pause so many times longer. With a first pause of 5 s,
#: three requests meet the refusal within 60 s.
_GROWTH = 3.0
#: While one request tries whether the exchange answers again, others look so often, and for so long at most.
_LOOK_AGAIN_SEC = 1.0
_LONGEST_TRIAL_SEC = 10.0


class Pauses(msgspec.Struct, frozen=True):
    """The shortest pause after a first refusal (seconds), and the longest that repetition makes of it."""

    first_sec: float
    longest_sec: float
    growth: float = _GROWTH

    def after(self, refusals: int) -> float:
        """The shortest pause after so many refusals in a row (seconds)."""
        return min(self.first_sec * self.growth ** min(refusals - 1, 20), self.longest_sec)


class RequestGate:
    """Open until something was refused; open again for all once a later request was answered."""

    def __init__(self) -> None:
        self.until: Moment | None = None
        self.why = ""
        self._refusals: dict[Pauses, int] = {}
        self._refused_until: Moment | None = None
        self._asks_singly = False
        self._trial_sec: float | None = None

    def closed_until(self, now: Moment) -> Moment | None:
        """The moment before which nothing may be sent; None: something may be sent now."""
        if self.until is not None and now.monotonic_sec < self.until.monotonic_sec:
            return self.until
        trial_sec = self._trial_sec
        if trial_sec is not None and now.monotonic_sec < trial_sec + _LONGEST_TRIAL_SEC:
            return now.earlier_by(-_LOOK_AGAIN_SEC)
        return None

    def sending(self, now: Moment) -> None:
        """A request is sent: the only one for now, if there was a refusal."""
        if self._asks_singly:
            self._trial_sec = now.monotonic_sec

    def refused(self, sent: Moment, now: Moment, why: str, pauses: Pauses, asked_sec: float = 0.0) -> Moment:
        """The request sent at `sent` was refused. Returns the end of the pause.

        The pause is the longer of `asked_sec` and what `pauses` gives; each kind of refusal grows by itself.
        Requests that were under way together count as one refusal.
        """
        met_before = self._refusals.get(pauses, 0)
        own_end = self._refused_until
        # A pause that another process asked for while this request was under way is not its own.
        if not met_before or own_end is None or sent.monotonic_sec >= own_end.monotonic_sec:
            self._refusals[pauses] = met_before + 1
        self._asks_singly, self._trial_sec = True, None
        until = now.earlier_by(-max(asked_sec, pauses.after(self._refusals[pauses])))
        if own_end is None or own_end.monotonic_sec < until.monotonic_sec:
            self._refused_until = until
        self.close(until, why)
        return self.until or until

    def close(self, until: Moment, why: str) -> None:
        """Nothing before `until`, unless the gate is closed for longer."""
        if self.until is None or self.until.monotonic_sec < until.monotonic_sec:
            self.until, self.why = until, why

    def recall(self, until: Moment, why: str) -> None:
        """As if the refusal that asked for `until` had been met here: then one request at a time."""
        self._asks_singly = True
        self.close(until, why)

    def answered(self, sent: Moment) -> None:
        """A request was answered. If it was sent after the pause, the refusals are over."""
        if self.until is None or sent.monotonic_sec >= self.until.monotonic_sec:
            self.until, self._asks_singly, self._trial_sec = None, False, None
            self._refusals.clear()
            self._refused_until = None

    def unanswered(self, sent: Moment) -> None:
        """A request ended without an answer that shows whether the exchange still refuses."""
        if self._trial_sec == sent.monotonic_sec:
            self._trial_sec = None
