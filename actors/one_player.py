"""Wait of a role until no other player of it works on the same stream."""

from __future__ import annotations

import math
from collections.abc import Sequence

import trio
from structlog.typing import FilteringBoundLogger

from brain.identifiers import FencingToken
from channels import LatestValue, Lease
from store.consumers import GroupConsumer
from store.errors import FencedError
from store.protocol import ConsumerGroup
from supervision import Heartbeat

#: A consumer that neither asked for entries nor acknowledged any for so long has stopped.
ACTIVE_SEC = 30.0
_LOOK_SEC = 1.0


class OnePlayer:
    """Look at the consumers of a role's group before the role reads from it.

    A consumer that is not ours and was active within 30 s is another player. It is active while it asks for
    entries, with or without getting any, and while the number of its pending entries changes: one that works
    on an entry for long does not ask.
    """

    def __init__(
        self, group: ConsumerGroup, role: str, *, take_over: bool, log: FilteringBoundLogger
    ) -> None:
        """`role`: as in "another Governor works on …". `take_over`: go on beside another player."""
        self._group = group
        self._role = role
        self._take_over = take_over
        self._log = log
        #: By consumer: its number of pending entries, and when that last changed (trio's clock).
        self._pending: dict[str, tuple[int, float]] = {}

    async def wait(self, fence: FencingToken, lease: LatestValue[Lease], heartbeat: Heartbeat) -> bool:
        """Return True once no other player is active, with this consumer recorded as ours; False at a stop.

        Raises FencedError when the lease is lost in the wait, and as the store does.
        """
        logged = False
        self._pending.clear()
        while (other := self._other(await self._group.consumers())) is not None:
            if self._take_over:
                self._log.warning(f"P33_TAKE_OVER: {other}")
                break
            if not logged:
                self._log.warning(f"Waiting: {other}")
                logged = True
            with heartbeat.waiting_for(other), trio.move_on_after(_LOOK_SEC):
                await heartbeat.stopping.wait()
            if heartbeat.stopping.is_set():
                return False
            if lease.value is None or lease.value.fence != fence:
                raise FencedError("the lease was lost in the wait for another player")
        await self._group.take_part(fence)
        return True

    def _other(self, consumers: Sequence[GroupConsumer]) -> str | None:
        """Describe the most active other player; None where there is none."""
        idle_sec = {each.name: self._idle_sec(each) for each in consumers if not each.ours}
        active = {name: sec for name, sec in idle_sec.items() if sec < ACTIVE_SEC}
        if not active:
            return None
        name = min(active, key=lambda each: (active[each], each))
        return player_text(self._role, self._group.stream, name, active[name])

    def _idle_sec(self, consumer: GroupConsumer) -> float:
        now_sec = trio.current_time()
        pending, changed_sec = self._pending.get(consumer.name, (consumer.pending, -math.inf))
        if consumer.pending != pending:
            changed_sec = now_sec
        self._pending[consumer.name] = consumer.pending, changed_sec
        return min(consumer.idle_ms / 1000, now_sec - changed_sec)


def player_text(role: str, stream: str, consumer: str, idle_sec: float) -> str:
    """Return the sentence on another player of a role."""
    return f"another {role} works on `{stream}`: consumer {consumer}, idle {idle_sec:.1f} s"
