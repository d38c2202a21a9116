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
#: Notices that an address is sent within any 60 s.
MOST_PER_MINUTE = 20


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
    """A condition that fires, since when (epoch ms), and whether a person has seen it."""

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
    alarm: Alarm
    at_sec: float


class Outbox:
    """What one address was sent. Times are monotonic (seconds). Made once; outlives the actor that sends."""

    def __init__(self, *, repeat_sec: float) -> None:
        self._repeat_sec = repeat_sec
        self._alarms: Mapping[Key, Alarm] = {}
        self._role = Role.UNKNOWN
        self._sent: dict[Key, _Sent] = {}
        self._unsent: set[Key] = set()
        self._times_sec: deque[float] = deque()
        self._held_back = False
        #: Changes that the offered notice counts.
        self._counted: list[Notice] = []
        #: Conditions that were over before their notice could be sent, not reported yet.
        self.missed = 0

    def look(self, alarms: Mapping[Key, Alarm], role: Role) -> None:
        """Take what fires now."""
        if role is Role.STANDBY:
            # The holder notifies of these from now on, of their end, too.
            self._sent = {key: sent for key, sent in self._sent.items() if key[0] in OF_THE_INSTANCE}
        self._role = role
        self._alarms = {key: alarm for key, alarm in alarms.items() if self._is_ours(key)}
        self.missed += sum(self._is_ours(key) and key not in self._alarms for key in self._unsent)
        self._unsent = {key for key in self._alarms if key not in self._sent}

    def next(self, now_sec: float) -> Notice | None:
        """Return the notice to send now; None where there is none, or its turn has not come.

        When the limit has held notices back, the first one after it counts all others.
        """
        while self._times_sec and now_sec - self._times_sec[0] >= _MINUTE_SEC:
            self._times_sec.popleft()
        due = self._due(now_sec)
        if not due:
            self._held_back = False
            return None
        if len(self._times_sec) >= MOST_PER_MINUTE:
            self._held_back = True
            return None
        self._counted = due[1:] if self._held_back else []
        return msgspec.structs.replace(due[0], others=self.missed + len(self._counted))

    def sent(self, notice: Notice, now_sec: float) -> None:
        """Note that the notice, which is the one offered last, has arrived with all that it counts."""
        self._times_sec.append(now_sec)
        self.missed = max(self.missed - notice.others + len(self._counted), 0)
        for each in (notice, *self._counted):
            self._note(each, now_sec)
        self._counted, self._held_back = [], False

    def skip(self, notice: Notice, now_sec: float) -> None:
        """Give the notice up, which is the one offered last: the next one that arrives counts it."""
        self.missed += 1
        self._note(notice, now_sec)

    def _note(self, notice: Notice, now_sec: float) -> None:
        key = notice.firing.key
        self._unsent.discard(key)
        if notice.phase is Phase.RESOLVED:
            self._sent.pop(key, None)
        else:
            self._sent[key] = _Sent(Alarm(notice.firing, notice.since_ms), now_sec)

    def _due(self, now_sec: float) -> list[Notice]:
        """Return the notices that are due: ends first, then begins, then what goes on, by urgency."""
        over = [key for key in self._sent if key not in self._alarms and self._is_ours(key)]
        begun = [key for key in self._alarms if key not in self._sent]
        again = [
            key
            for key, alarm in self._alarms.items()
            if (sent := self._sent.get(key)) is not None
            and not alarm.seen
            and now_sec - sent.at_sec >= self._repeat_sec
        ]
        ended = [
            Notice(Phase.RESOLVED, (alarm := self._sent[key].alarm).firing, alarm.since_ms)
            for key in sorted(over, key=urgency)
        ]
        return ended + [
            Notice(phase, self._alarms[key].firing, self._alarms[key].since_ms)
            for phase, keys in ((Phase.FIRING, begun), (Phase.STILL_FIRING, again))
            for key in sorted(keys, key=urgency)
        ]

    def _is_ours(self, key: Key) -> bool:
        return self._role is Role.HOLDER or key[0] in OF_THE_INSTANCE
