"""The life of the process around the tree: it runs until a signal, and stops in order and in time."""

from __future__ import annotations

import signal

import trio
from structlog.typing import FilteringBoundLogger

from supervision import RestartIntensityExceeded, Tree
from wiring.systemd_reports import SystemdReports

#: 5 s with the rest: 0.5 s to release the lease, 0.5 s for the last lines of the log.
SHUTDOWN_SEC = 4.0
#: For the steps after the tree, with room to spare.
_CLOSING_SEC = 1.5


async def run_until_signalled(
    tree: Tree, log: FilteringBoundLogger, systemd: SystemdReports | None = None
) -> None:
    """Run the tree; the first SIGTERM or SIGINT stops it in order, and cancels it after 4 s.

    Raises RestartIntensityExceeded, in groups, when restarting actors does not help.
    """

    async def stop_on_signal() -> None:
        async for number in signals:
            log.info("Stopping", signal=signal.Signals(number).name)
            if systemd is not None:
                systemd.stopping(SHUTDOWN_SEC + _CLOSING_SEC)
            tree.stop()
            nursery.cancel_scope.deadline = trio.current_time() + SHUTDOWN_SEC

    async def run_tree(task_status: trio.TaskStatus[None]) -> None:
        try:
            await tree.run(task_status)
        except RestartIntensityExceeded as error:
            if systemd is not None:
                systemd.gave_up(str(error))
            raise
        nursery.cancel_scope.cancel()

    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stop_on_signal)
            await nursery.start(run_tree)
            if systemd is not None:
                nursery.start_soon(systemd.run)
    log.info("Stopped")
