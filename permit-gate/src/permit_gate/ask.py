"""Protocol of the gate for one plan, without I/O: keys, values, the script and its replies.

The flavours of the gate differ only in the I/O for the steps of `conversation`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Union

from redis.exceptions import ResponseError

from permit_gate.answers import Granted, Refusal, Refused
from permit_gate.judging import PlanPermits
from permit_gate.reading import Yes
from permit_gate.rules import REMEMBERED_SEC, GateRules
from permit_gate.sources import PermitSource

#: Wait of the Apply Layer for its permits (seconds).
TIMEOUT_SEC = 1.2
#: Longest time between two reads with pushes (seconds), in case a server or proxy drops one.
LOOK_AGAIN_SEC = 0.05
#: Interval of reads without pushes (seconds).
POLL_SEC = 0.005

_SCRIPT = files("permit_gate").joinpath("consume.lua").read_text(encoding="utf-8")
_PLAN_ID = re.compile(r"(?!p33:|p26:)[ -~]{1,256}")
#: Most that the issuer's clock may be ahead of Redis's (milliseconds).
_CLOCK_TOLERANCE_MS = 5_000
_WHILE_HELD = "reconcile_close_bypass"
_TRACKING = ("CLIENT", "TRACKING")


Command = tuple[Union[str, bytes, int], ...]


@dataclass(frozen=True)
class Send:
    """Send these commands in one round trip; the answer is a list of replies or ResponseErrors."""

    commands: tuple[Command, ...]


@dataclass(frozen=True)
class AwaitPush:
    """Wait until the server pushes a message on this connection, at most `timeout_sec`."""

    timeout_sec: float


@dataclass(frozen=True)
class Pause:
    """Wait for `duration_sec`."""

    duration_sec: float


Answer = Union[Granted, Refused]
Step = Union[Send, AwaitPush, Pause]
Conversation = Generator[Step, Any, Answer]


class _Pushes:
    """State of server pushes on changes of keys that MGET has read.

    Switched off before the connection is given back: its next user must not find pushes on it.
    """

    def __init__(self, to_be_had: bool) -> None:
        self.to_be_had = to_be_had
        self.are_on = False

    def on(self) -> tuple[Command, ...]:
        """Return the commands to send before the next read."""
        return ((*_TRACKING, "ON", "NOLOOP"),) if self.to_be_had and not self.are_on else ()

    def note(self, replies: Sequence[object]) -> None:
        """Record the replies to `on` and to the read."""
        if len(replies) > 1:
            self.to_be_had = self.are_on = not isinstance(replies[0], ResponseError)

    def off(self) -> tuple[Command, ...]:
        """Return the commands to send after the wait."""
        if not self.are_on:
            return ()
        self.are_on = False
        return ((*_TRACKING, "OFF"),)


class Ask:
    """Plan with the permits it needs. Raises ValueError for no or repeated sources."""

    def __init__(
        self, plan_id: str, symbol: str, sources: Sequence[PermitSource], rules: GateRules | None = None
    ) -> None:
        if not sources or len(set(sources)) != len(sources):
            raise ValueError("at least one permit source, and each of them once")
        self._rules = rules or GateRules()
        self._plan = PlanPermits(plan_id, symbol, tuple(sources), self._rules)
        prefix = self._rules.prefix
        self._mark_key = f"{prefix}:permit_gate:consumed:{plan_id}"
        self._hold_key = f"{prefix}:reconcile:hold:{symbol}"
        self._permit_keys = tuple(source.key(prefix, plan_id) for source in sources)

    def conversation(
        self, clock: Callable[[], float], timeout_sec: float = TIMEOUT_SEC, *, pushes: bool = True
    ) -> Conversation:
        """Yield the steps to perform on one connection; return the answer.

        `clock` is a monotonic clock in seconds. With `pushes` the connection speaks RESP3, and what the
        server pushes can be read from it. After an error of the connection, `failed` gives the answer. Raises
        the ResponseError by which the server refuses to read or to consume (READONLY, OOM, NOPERM): then
        `failed` gives the answer, and the connection must not be used again, since a new one may lead to
        another server.
        """
        if not _PLAN_ID.fullmatch(self._plan.plan_id):
            # As `p33:<id>` it would name one service's permit as another's.
            because = "not 1 to 256 printable ASCII characters, or begins like another service's key"
            return self._plan.refused(Refusal.PLAN_ID_UNUSABLE, because=because)
        deadline_sec = clock() + timeout_sec
        look = ("MGET", self._mark_key, *self._permit_keys)
        tracking = _Pushes(pushes)
        while True:
            replies = yield Send((*tracking.on(), look))
            tracking.note(replies)
            values = replies[-1]
            found: list[Yes] | Answer | None = self._read(values)
            if isinstance(found, list) and len(found) == len(self._permit_keys):
                replies = yield Send((self._consumption(found, values[1:]), *tracking.off()))
                found = self._concluded(found, replies[0])
            left_sec = deadline_sec - clock()
            if left_sec <= 0 and not isinstance(found, (Granted, Refused)):
                found = self._plan.timed_out(values[1:])
            if isinstance(found, (Granted, Refused)):
                if off := tracking.off():
                    yield Send(off)
                return found
            if tracking.are_on:
                yield AwaitPush(min(left_sec, LOOK_AGAIN_SEC))
            elif not tracking.to_be_had:
                yield Pause(min(left_sec, POLL_SEC))

    def failed(self, error: str) -> Refused:
        """Return the refusal for an error of Redis."""
        return self._plan.refused(Refusal.REDIS_ERROR, because=error[:200])

    def _read(self, values: Sequence[bytes | None] | ResponseError) -> list[Yes] | Refused:
        """Return the granting permits so far, or the refusal that ends the wait."""
        if isinstance(values, ResponseError):
            raise values
        mark, *texts = values
        return self._plan.granting(texts) if mark is None else self._plan.consumed_before(mark)

    def _consumption(self, granted: Sequence[Yes], texts: Sequence[bytes | None]) -> Command:
        stopped_by_hold = not any(yes.terms and yes.terms.reason == _WHILE_HELD for yes in granted)
        keys = (self._mark_key, self._hold_key, *self._permit_keys)
        arguments: list[str | bytes | int] = [
            self._rules.consumer,
            REMEMBERED_SEC * 1000,
            "1" if stopped_by_hold else "0",
            round(self._rules.max_age_sec * 1000),
            _CLOCK_TOLERANCE_MS,
        ]
        for yes, text in zip(granted, texts):
            arguments += [text or b"", "" if yes.terms is None else int(yes.terms.created_at_sec * 1000)]
        return ("EVAL", _SCRIPT, len(keys), *keys, *arguments)

    def _concluded(self, granted: Sequence[Yes], reply: Sequence[bytes] | ResponseError) -> Answer | None:
        """Parse the script's reply; None: a permit changed since the read, read again."""
        if isinstance(reply, ResponseError):
            raise reply
        said = [bytes(part) for part in reply]
        if said == [b"consumed"]:
            terms = next((yes.terms for yes in granted if yes.terms is not None), None)
            permits = tuple(yes.permit for yes in granted)
            return Granted(self._plan.plan_id, self._plan.symbol, permits, terms)
        if said == [b"changed"]:
            return None
        if said == [b"hold"]:
            return self._plan.held()
        word, value = said if len(said) == 2 else (b"", b"")
        if word == b"consumed_before":
            return self._plan.consumed_before(value)
        if word == b"too_old":
            return self._plan.too_old(int(value))
        if word == b"from_the_future":
            return self._plan.from_the_future(int(value))
        return self.failed(f"unexpected reply {reply!r}")
