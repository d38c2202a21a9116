"""Reports of a running service to systemd: READY, STATUS, WATCHDOG and STOPPING."""

from __future__ import annotations

from collections.abc import Callable

import trio

from monitoring.status.document import Readiness
from supervision import Tree
from supervision.systemd import NotifySocket

_LOOK_SEC = 1.0
#: Parts of the watchdog's limit: between two reports, as sd_watchdog_enabled(3) recommends, and between looks
#: at a tree that made no progress.
_FEED_SHARE, _LOOK_AGAIN_SHARE = 1 / 2, 1 / 20


class SystemdReports:
    """Reports readiness and waits as the status line, and progress of the tree as the watchdog."""

    def __init__(self, systemd: NotifySocket, tree: Tree, readiness: Callable[[], Readiness]) -> None:
        self._systemd = systemd
        self._tree = tree
        self._readiness = readiness
        self._stopping = False

    async def run(self) -> None:
        """Report until cancelled; begin when the tree runs."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._report_status)
            if self._systemd.watchdog_sec is not None:
                nursery.start_soon(self._feed_watchdog, self._systemd.watchdog_sec)

    def stopping(self, within_sec: float) -> None:
        """Report that an ordered stop has begun, which takes `within_sec` at most."""
        self._stopping = True
        self._systemd.stopping("stopping: what is in hand is finished", within_sec)

    def gave_up(self, reason: str) -> None:
        """Report that the process ends because restarting actors did not help."""
        self._stopping = True
        self._systemd.status(f"gave up: {reason}")

    async def _report_status(self) -> None:
        reported: str | None = None
        while not self._stopping:
            status = self._status()
            if reported is None:
                # systemd counts the service as started only when this one arrives.
                reported = status if self._systemd.ready(status) else None
            elif status != reported:
                self._systemd.status(status)
                reported = status
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
