"""The daemon with an actor that SIGUSR1 makes fail, then and whenever it is started again.

`python -m tests.integration.hopeless_daemon ACTOR [TIMES]`, settings as for `run`: so often, or for good.
The tree is the real one, limits included; only the waits before restarts are shorter, or reaching the limits
would take half a minute.
"""

from __future__ import annotations

import math
import os
import signal
import sys
from functools import partial
from random import Random
from typing import Any

import msgspec
import trio

import supervisor
from commands.run import run
from monitoring.service_log import report_supervision
from supervision import Backoff, ChildSpec, Heartbeat, Tree
from tests.integration.service_in_process import SabotageError
from tests.supervision.rig import rigged

_BACKOFF = Backoff(initial_sec=0.02, maximum_sec=0.05)


class Hopeless:
    """Makes one actor fail so often, or for good."""

    def __init__(self, actor: str, times: float) -> None:
        self._actor = actor
        self._times_left = times
        self._struck = False

    def rigged(self, child: ChildSpec) -> ChildSpec:
        """Return the actor so that it can be struck; any other as it is."""
        if child.name != self._actor:
            return child
        return msgspec.structs.replace(child, start=partial(self._run, child))

    async def _run(self, child: ChildSpec, heartbeat: Heartbeat) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._fail)
            await child.start(heartbeat)
            nursery.cancel_scope.cancel()

    async def _fail(self) -> None:
        if not self._struck:
            with trio.open_signal_receiver(signal.SIGUSR1) as signals:
                await anext(signals)
            self._struck = True
        if self._times_left <= 0:
            return
        self._times_left -= 1
        raise SabotageError


class HopelessService(supervisor.Service):
    """The service with such an actor."""

    actor = ""
    times = math.inf

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.spec = rigged(self.spec, Hopeless(self.actor, self.times).rigged, _BACKOFF)
        on_event = partial(report_supervision, self.channels.metrics, named["log"])
        self.tree = Tree(self.spec, rng=Random(1), on_event=on_event)  # noqa: S311 - jitter


def main(actor: str, times: str = "inf") -> int:
    """Run the daemon with an actor that can be struck."""
    HopelessService.actor, HopelessService.times = actor, float(times)
    supervisor.Service = HopelessService  # type: ignore[misc]
    return run(os.environ)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
