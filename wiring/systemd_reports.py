"""What systemd is told of a running service, and when."""

from __future__ import annotations

from collections.abc import Callable

import trio

from monitoring.status.document import Readiness
from supervision import Tree
from supervision.systemd import NotifySocket

_LOOK_SEC = 1.0
#: Of the watchdog's limit: as often as sd_watchdog_enabled(3) recommends, and how soon to look again at a
#: tree that made no progress, so that one which recovers in time is heard of in time.
_FEED_SHARE, _LOOK_AGAIN_SHARE = 1 / 2, 1 / 20


class SystemdReports:
    """Says that the service stands, what it waits for, and that it makes progress; and when it does not."""

    def __init__(self, systemd: NotifySocket, tree: Tree, readiness: Callable[[], Readiness]) -> None:
        self._systemd = systemd
        self._tree = tree
        self._readiness = readiness
        self._stopping = False

    async def run(self) -> None:
        """Report from now on, when the tree stands, until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._tell_status)
            if self._systemd.watchdog_sec is not None:
                nursery.start_soon(self._feed_watchdog, self._systemd.watchdog_sec)

    def stopping(self, within_sec: float) -> None:
        """An ordered stop has begun, and takes `within_sec` at most."""
        self._stopping = True
        self._systemd.stopping("stopping: what is in hand is finished", within_sec)

    def gave_up(self, reason: str) -> None:
        """The process ends because restarting actors did not help."""
        self._stopping = True
        self._systemd.status(f"gave up: {reason}")

    async def _tell_status(self) -> None:
        told: str | None = None
        while not self._stopping:
            status = self._status()
            if told is None:
                # Until this one arrives, systemd does not take the service for started.
                told = status if self._systemd.ready(status) else None
            elif status != told:
                self._systemd.status(status)
                told = status
            await trio.sleep(_LOOK_SEC)

    async def _feed_watchdog(self, limit_sec: float) -> None:
        while True:
            progressing = self._tree.progressing()
            if progressing:
                self._systemd.alive()
            await trio.sleep(limit_sec * (_FEED_SHARE if progressing else _LOOK_AGAIN_SHARE))

    def _status(self) -> str:
        stalled = [path.rpartition("/")[2] for path in self._tree.stalled()]
        if stalled:
            return f"no progress: {', '.join(stalled)}"
        readiness = self._readiness()
        if readiness.ready:
            return "ready: plans are decided"
        return f"not ready: {'; '.join(readiness.reasons)}"
