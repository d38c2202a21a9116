"""Writes the history: a minute of observations, once it has ended."""

from __future__ import annotations

import trio
from structlog.typing import FilteringBoundLogger

from channels import LatestValue, Lease
from monitoring.history import MinuteHistory
from store.errors import FencedError, StoreError, StoreUnavailableError, WrongRightsError
from store.history_protocol import HistoryStore
from supervision import Heartbeat

_EVERY_SEC = 1.0
_PATIENCE_SEC = 2.0
_LOG_AGAIN_SEC = 60.0
_LONGEST = 160


class HistoryWriter:
    """Samples once a second, and writes finished minutes while this instance holds the lease.

    While Redis does not take them, up to 60 finished minutes wait, and each second the oldest is tried again.
    That changes nothing else: the service stays ready without a history.
    """

    def __init__(
        self,
        store: HistoryStore,
        history: MinuteHistory,
        lease: LatestValue[Lease],
        *,
        log: FilteringBoundLogger,
    ) -> None:
        self._store = store
        self._history = history
        self._lease = lease
        self._log = log
        self._logged_sec = float("-inf")

    async def run(self, heartbeat: Heartbeat) -> None:
        """Sample and write until cancelled."""
        while True:
            await self._history.sample()
            with heartbeat.idle():
                with trio.move_on_after(_PATIENCE_SEC):
                    await self._write()
                await trio.sleep(_EVERY_SEC)

    async def _write(self) -> None:
        """Write what has finished; what is not written waits for the next call."""
        unwritten = self._history.unwritten
        while unwritten and (lease := self._lease.value) is not None and lease.fence is not None:
            try:
                await self._store.write_minute(lease.fence, unwritten[0])
            except FencedError:
                return
            except StoreError as error:
                self._log_error(error)
                return
            unwritten.popleft()

    def _log_error(self, error: StoreError) -> None:
        """Log what an operator has to repair, once a minute. Outages are logged by `lease_holder`."""
        if isinstance(error, StoreUnavailableError) and not isinstance(error, WrongRightsError):
            return
        now_sec = trio.current_time()
        if now_sec - self._logged_sec >= _LOG_AGAIN_SEC:
            self._logged_sec = now_sec
            self._log.warning("The history is not written", why=str(error)[:_LONGEST])
