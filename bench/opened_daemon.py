"""The daemon with an opening: actors can be struck from outside, and what it knows of positions be seen.

`python -m bench.opened_daemon SOCKET`, settings as for `run`. On the datagram socket it takes `Asked` and
answers `Told`, both JSON.
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

_STRUCK = ("permit_evaluator", "ledger_writer")
_LARGEST = 1 << 16


class Asked(msgspec.Struct, frozen=True):
    """Let the actor `strike` fail; or say how often `count` was started, or when the evaluator sees `watch`.

    `watch`: amounts by symbol.
    """

    strike: str | None = None
    count: str | None = None
    watch: Mapping[str, Decimal] = {}


class Told(msgspec.Struct, frozen=True):
    """`at_sec` (`time.perf_counter`, one clock for all processes): of failing, or of seeing.

    None: it is being watched for from now on. `starts`: how often the actor was started.
    """

    at_sec: float | None = None
    starts: int = 0


class ActorStruckError(Exception):
    """What a struck actor fails with."""


class Opening:
    """The socket's side of the daemon."""

    def __init__(self, path: str, book: SnapshotBook) -> None:
        self._path = path
        self._book = book
        self._struck: dict[str, trio.Event] = {}
        self._starts: Counter[str] = Counter()

    def opened(self, spec: SupervisorSpec) -> SupervisorSpec:
        """The tree with actors that can be struck, and with this beside them."""
        groups = tuple(self._opened(child) for child in spec.children)
        here = ChildSpec(name="opening", start=self._serve, stall_limit_sec=supervisor.STALL_LIMIT_SEC)
        return msgspec.structs.replace(spec, children=(*groups, here))

    def _opened(self, child: ChildSpec | SupervisorSpec) -> ChildSpec | SupervisorSpec:
        if isinstance(child, SupervisorSpec):
            return msgspec.structs.replace(child, children=tuple(map(self._opened, child.children)))
        if child.name not in _STRUCK:
            return child
        return msgspec.structs.replace(child, start=partial(self._run, child))

    async def _run(self, child: ChildSpec, heartbeat: Heartbeat) -> None:
        struck = self._struck[child.name] = trio.Event()
        self._starts[child.name] += 1
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_fail_when, struck)
            await child.start(heartbeat)
            nursery.cancel_scope.cancel()

    async def _serve(self, heartbeat: Heartbeat) -> None:
        with trio.socket.socket(trio.socket.AF_UNIX, trio.socket.SOCK_DGRAM) as door, heartbeat.idle():
            await door.bind(self._path)
            while True:
                text, asker = await door.recvfrom(_LARGEST)
                asked = msgspec.json.decode(text, type=Asked)
                if asked.strike is not None:
                    self._struck[asked.strike].set()
                    told = Told(time.perf_counter(), self._starts[asked.strike])
                elif asked.count is not None:
                    told = Told(starts=self._starts[asked.count])
                else:
                    await door.sendto(msgspec.json.encode(Told()), asker)
                    await self._seen(asked.watch)
                    told = Told(time.perf_counter())
                await door.sendto(msgspec.json.encode(told), asker)

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


async def _fail_when(struck: trio.Event) -> None:
    await struck.wait()
    raise ActorStruckError


class OpenedService(supervisor.Service):
    """The service, opened."""

    path = ""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.spec = Opening(self.path, self.flows.book).opened(self.spec)
        on_event = partial(report_supervision, self.flows.metrics, named["log"])
        self.tree = Tree(self.spec, rng=SystemRandom(), on_event=on_event)


def main(path: str) -> int:
    """Run the daemon with the opening at `path`."""
    OpenedService.path = path
    supervisor.Service = OpenedService  # type: ignore[misc]
    return run(os.environ)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
