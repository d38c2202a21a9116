"""Daemon with a control socket: a benchmark lets actors fail, and watches the evaluator's positions.

`python -m bench.instrumented_daemon SOCKET`, settings as for `run`. On the datagram socket it takes `Request`
and answers `Reply`, both JSON.
"""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from collections.abc import Mapping
from decimal import Decimal
from functools import partial
from random import SystemRandom
from typing import Any

import msgspec
import trio

import supervisor
from channels import SnapshotBook
from commands.run import run
from monitoring.service_log import report_supervision
from supervision import ChildSpec, Heartbeat, SupervisorSpec, Tree
from wiring.groups import STALL_LIMIT_SEC

_CAN_FAIL = ("permit_evaluator", "ledger_writer")
_LARGEST = 1 << 16


class Request(msgspec.Struct, frozen=True):
    """Request: let actor `fail` fail; count the starts of `count`; or wait until the evaluator sees `watch`.

    `watch`: amounts by symbol.
    """

    fail: str | None = None
    count: str | None = None
    watch: Mapping[str, Decimal] = {}


class Reply(msgspec.Struct, frozen=True):
    """Reply. `at_sec`: moment of the failure, or of the watched view (`time.perf_counter`).

    None: the watch has begun. `starts`: number of the actor's starts. The clock is one for all processes.
    """

    at_sec: float | None = None
    starts: int = 0


class InjectedFailureError(Exception):
    """Failure of an actor on request."""


class Instrumentation:
    """Daemon's side of the control socket."""

    def __init__(self, path: str, book: SnapshotBook) -> None:
        self._path = path
        self._book = book
        self._failures: dict[str, trio.Event] = {}
        self._starts: Counter[str] = Counter()

    def instrumented(self, spec: SupervisorSpec) -> SupervisorSpec:
        """Return the tree with actors that can be made to fail, and with this server beside them."""
        groups = tuple(self._instrumented(child) for child in spec.children)
        here = ChildSpec(name="control", start=self._serve, stall_limit_sec=STALL_LIMIT_SEC)
        return msgspec.structs.replace(spec, children=(*groups, here))

    def _instrumented(self, child: ChildSpec | SupervisorSpec) -> ChildSpec | SupervisorSpec:
        if isinstance(child, SupervisorSpec):
            return msgspec.structs.replace(child, children=tuple(map(self._instrumented, child.children)))
        if child.name not in _CAN_FAIL:
            return child
        return msgspec.structs.replace(child, start=partial(self._run, child))

    async def _run(self, child: ChildSpec, heartbeat: Heartbeat) -> None:
        failure = self._failures[child.name] = trio.Event()
        self._starts[child.name] += 1
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_fail_when, failure)
            await child.start(heartbeat)
            nursery.cancel_scope.cancel()

    async def _serve(self, heartbeat: Heartbeat) -> None:
        with trio.socket.socket(trio.socket.AF_UNIX, trio.socket.SOCK_DGRAM) as control, heartbeat.idle():
            await control.bind(self._path)
            while True:
                text, client = await control.recvfrom(_LARGEST)
                request = msgspec.json.decode(text, type=Request)
                if request.fail is not None:
                    self._failures[request.fail].set()
                    reply = Reply(time.perf_counter(), self._starts[request.fail])
                elif request.count is not None:
                    reply = Reply(starts=self._starts[request.count])
                else:
                    await control.sendto(msgspec.json.encode(Reply()), client)
                    await self._seen(request.watch)
                    reply = Reply(time.perf_counter())
                await control.sendto(msgspec.json.encode(reply), client)

    async def _seen(self, amounts: Mapping[str, Decimal]) -> None:
        missing = dict(amounts)
        while True:
            for symbol, amount in list(missing.items()):
                snapshot = self._book.get(symbol)
                if snapshot is not None and snapshot.amount == amount:
                    del missing[symbol]
            if not missing:
                return
            await self._book.changed()


async def _fail_when(failure: trio.Event) -> None:
    await failure.wait()
    raise InjectedFailureError


class InstrumentedService(supervisor.Service):
    """Service with instrumentation."""

    path = ""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.spec = Instrumentation(self.path, self.channels.book).instrumented(self.spec)
        on_event = partial(report_supervision, self.channels.metrics, named["log"])
        self.tree = Tree(self.spec, rng=SystemRandom(), on_event=on_event)


def main(path: str) -> int:
    """Run the daemon with its control socket at `path`."""
    InstrumentedService.path = path
    supervisor.Service = InstrumentedService  # type: ignore[misc]
    return run(os.environ)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
