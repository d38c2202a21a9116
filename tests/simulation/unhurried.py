"""The service without sockets of its own, and less busy with what is done whether or not anything happens."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import ClassVar
from unittest.mock import patch

import trio
from starlette.types import ASGIApp

#: What is done again and again, whether or not there is anything to do, costs most of a quiet hour: so it is
#: done less often here. No guarantee hangs on how often.
_UNHURRIED_SEC = {
    "actors.lease_holder.RENEWAL_SEC": 0.9,
    "actors.lease_holder.STANDBY_LOOK_SEC": 1.5,
    "actors.stream_consumer._SWEEP_SEC": 4.0,
    "actors.stream_consumer._BLOCK_MS": 6_000,
    "actors.ledger_writer.fill_monitor._SWEEP_SEC": 4.0,
    "actors.candidate_planner.actor._CANDIDATES_REFRESH_SEC": 15.0,
    "actors.ban_keeper._LOOK_SEC": 5.0,
    "actors.clock_watch._EVERY_SEC": 2.0,
    "actors.durability_watch._EVERY_SEC": 5.0,
    "actors.ledger_writer.unknown_outcomes._LOOK_EVERY_SEC": 2.0,
    "actors.executor.permits.LOOK_AGAIN_SEC": 0.3,
    "actors.executor.manual_lane._LOOK_SEC": 0.5,
    "exchange.order_requests._PING_SEC": 60.0,
    "store.memory.connection.LONGEST_BLOCK_MS": 6_000,
}


class _NoSockets:
    """In the place of the HTTP server: keeps the application, so that it can be asked in process."""

    served: ClassVar[list[tuple[object, ASGIApp]]] = []

    def __init__(self, app: ASGIApp, *, log: object) -> None:
        self._entry = log, app

    async def serve(self, _: object) -> None:
        self.served.append(self._entry)
        try:
            await trio.sleep_forever()
        finally:
            self.served.remove(self._entry)


class _VirtualTime:
    """In the place of the `time` module."""

    monotonic = staticmethod(trio.current_time)


async def _no_listeners(_bind: str, _port: int) -> list[trio.SocketListener]:
    await trio.lowlevel.checkpoint()
    return []


@contextmanager
def without_sockets() -> Iterator[None]:
    """Run the metrics actor as it is, except that it does not listen, and that it runs less often."""
    with ExitStack() as stack:
        stack.enter_context(patch("actors.metrics.HttpServer", _NoSockets))
        stack.enter_context(patch("actors.metrics.open_listeners", _no_listeners))
        stack.enter_context(patch("store.redis.connection_pool.time", _VirtualTime))
        stack.enter_context(patch("actors.metrics.listening_url", lambda _: "http://in.process"))
        for name, seconds in _UNHURRIED_SEC.items():
            stack.enter_context(patch(name, seconds))
        yield


def application_of(log: object) -> ASGIApp | None:
    """Return the HTTP application of the service that logs to `log`; None while it does not run."""
    return next((app for each, app in _NoSockets.served if each is log), None)
