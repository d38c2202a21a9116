"""Notices for one address: those that it needs, computed from what it was sent and what fires now.

Nothing is queued. An address that is dead for an hour is sent what fires when it is back.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

import msgspec

from monitoring.firing import OF_THE_INSTANCE, Firing, NoticeKind, urgency

Key = tuple[NoticeKind, str]

_MINUTE_SEC = 60.0
#: Notices that an address is sent within any 60 s, by their rank: the later ranks leave some to the earlier.
_MOST_BY_RANK = (20, 16, 12)
MOST_PER_MINUTE, _, MOST_OF_THE_REST = _MOST_BY_RANK
#: A condition is over once it has not fired for so long: one that flaps is one notice.
OVER_AFTER_SEC = 10.0
_MOST_URGENT = OF_THE_INSTANCE | {NoticeKind.DISARM}
_BEGIN_NAMED = frozenset({NoticeKind.UNKNOWN_EXECUTION, NoticeKind.CASE})
_REST = 2


class Phase(StrEnum):
    """The part of a condition's life that a notice reports."""

    FIRING = "firing"
    STILL_FIRING = "still_firing"
    RESOLVED = "resolved"


class Role(StrEnum):
    """Part of this instance: only the lease's holder notifies of what concerns all instances.

    `UNKNOWN`: no holder is known, as while Redis is away.
    """

    HOLDER = "holder"
    STANDBY = "standby"
    UNKNOWN = "unknown"


class Alarm(NamedTuple):
    """A condition that fires, since when (epoch ms), and whether a person has seen it.

    What a person has seen is not sent, neither its begin nor that it goes on.
    """

    firing: Firing
    since_ms: int
    seen: bool = False


class Notice(msgspec.Struct, frozen=True):
    """One message. `others`: changes besides that have no message of their own."""

    phase: Phase
    firing: Firing
    since_ms: int
    others: int = 0


class _Sent(NamedTuple):
    """`named`: by a notice of its own, so that its end has one, too."""

    alarm: Alarm
    at_sec: float
    named: bool


class Outbox:
    """What one address was sent. Times are monotonic (seconds). Made once; outlives the actor that sends."""

    def __init__(self, *, repeat_sec: float) -> None:
        self._repeat_sec = repeat_sec
        self._alarms: Mapping[Key, Alarm] = {}
        self._role = Role.UNKNOWN
        self._sent: dict[Key, _Sent] = {}
        #: Since when those that were sent do not fire any more.
        self._quiet_since_sec: dict[Key, float] = {}
        self._unsent: set[Key] = set()
        self._times_sec: deque[float] = deque()
        self._held_back = False
        #: Changes that the offered notice counts.
        self._counted: list[Notice] = []
        #: Conditions that were over before their notice could be sent, not reported yet.
        self.missed = 0

    def look(self, alarms: Mapping[Key, Alarm], role: Role, now_sec: float) -> None:
        """Take what fires now."""
        if role is Role.STANDBY:
            # The holder notifies of these from now on, of their end, too.
            self._sent = {key: sent for key, sent in self._sent.items() if key[0] in OF_THE_INSTANCE}
        self._role = role
        self._alarms = {key: alarm for key, alarm in alarms.items() if self._is_ours(key)}
        self._quiet_since_sec = {
            key: self._quiet_since_sec.get(key, now_sec)
            for key in self._sent
            if key not in self._alarms and self._is_ours(key)
        }
        for key in self._over(now_sec):
            if not self._sent[key].named:
                del self._sent[key]
        self.missed += sum(self._is_ours(key) and key not in self._alarms for key in self._unsent)
        self._unsent = {
            key for key, alarm in self._alarms.items() if key not in self._sent and not alarm.seen
        }

    def next(self, now_sec: float) -> Notice | None:
        """Return the notice to send now; None where there is none, or its turn has not come.

        When the limit has held notices of the last rank back, the first of them after it counts all others of
        that rank. The earlier ranks are never only counted.
        """
        while self._times_sec and now_sec - self._times_sec[0] >= _MINUTE_SEC:
            self._times_sec.popleft()
        due = self._due(now_sec)
        rest = [each for each in due if _rank(each) == _REST]
        if not rest:
            self._held_back = False
        elif len(self._times_sec) >= MOST_OF_THE_REST:
            self._held_back = True
        if not due or len(self._times_sec) >= _MOST_BY_RANK[_rank(due[0])]:
            return None
        self._counted = rest[1:] if self._held_back and due[0] is rest[0] else []
        return msgspec.structs.replace(due[0], others=self.missed + len(self._counted))

    def sent(self, notice: Notice, now_sec: float) -> None:
        """Note that the notice, which is the one offered last, has arrived with all that it counts."""
        self._times_sec.append(now_sec)
        self.missed = max(self.missed - notice.others + len(self._counted), 0)
        for each in self._counted:
            self._note(each, now_sec, named=False)
        self._note(notice, now_sec)
        if _rank(notice) == _REST:
            self._counted, self._held_back = [], False

    def skip(self, notice: Notice, now_sec: float) -> None:
        """Give the notice up, which is the one offered last: the next one that arrives counts it."""
        self.missed += 1
        self._note(notice, now_sec)

    def _note(self, notice: Notice, now_sec: float, *, named: bool = True) -> None:
        key = notice.firing.key
        self._unsent.discard(key)
        if notice.phase is Phase.RESOLVED:
            self._sent.pop(key, None)
        else:
            was_named = key in self._sent and self._sent[key].named
            self._sent[key] = _Sent(Alarm(notice.firing, notice.since_ms), now_sec, named or was_named)

    def _due(self, now_sec: float) -> list[Notice]:
        """Return the notices that are due, by rank, in it begins first, and then by urgency."""
        begun = [key for key, alarm in self._alarms.items() if key not in self._sent and not alarm.seen]
        again = [
            key
            for key, alarm in self._alarms.items()
            if (sent := self._sent.get(key)) is not None
            and not alarm.seen
            and now_sec - sent.at_sec >= self._repeat_sec
        ]
        ended = {key: self._sent[key].alarm for key in self._over(now_sec)}
        due = [
            Notice(phase, alarms[key].firing, alarms[key].since_ms)
            for phase, keys, alarms in (
                (Phase.FIRING, begun, self._alarms),
                (Phase.RESOLVED, ended, ended),
                (Phase.STILL_FIRING, again, self._alarms),
            )
            for key in keys
        ]
        return sorted(due, key=_order)

    def _over(self, now_sec: float) -> list[Key]:
        """Return those that were sent and have not fired for 10 s."""
        return [
            key
            for key, since_sec in self._quiet_since_sec.items()
            if key in self._sent and now_sec - since_sec >= OVER_AFTER_SEC
        ]

    def _is_ours(self, key: Key) -> bool:
        return self._role is Role.HOLDER or key[0] in OF_THE_INSTANCE


def _order(notice: Notice) -> tuple[int, bool, tuple[int, str]]:
    return _rank(notice), notice.phase is not Phase.FIRING, urgency(notice.firing.key)


def _rank(notice: Notice) -> int:
    """Return 0 for the most urgent kinds, 1 for the begin of unknown executions and cases, 2 for the rest."""
    kind = notice.firing.kind
    if kind in _MOST_URGENT:
        return 0
    return 1 if notice.phase is Phase.FIRING and kind in _BEGIN_NAMED else _REST
