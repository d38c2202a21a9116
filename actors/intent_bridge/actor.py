"""The intent bridge: makes a plan of each intent, or says why there is none."""

from __future__ import annotations

from collections.abc import Sequence

import trio

from actors.intent_bridge.lane import IntentLane
from actors.intent_bridge.reports import BridgeReports
from supervision import Heartbeat


class IntentBridge:
    """A task for each stream of intents. Answers wait for Redis and the lease alone."""

    def __init__(self, lanes: Sequence[IntentLane], reports: BridgeReports, *, tag: str) -> None:
        """`tag`: the build, for the log."""
        self._lanes = lanes
        self._reports = reports
        self._tag = tag

    async def run(self, heartbeat: Heartbeat) -> None:
        """Answer intents until asked to stop; what is in hand then is finished."""
        self._reports.begun(self._tag)
        first, *others = self._lanes
        async with trio.open_nursery() as nursery:
            for lane in others:
                nursery.start_soon(self._beside, lane, heartbeat)
            await first.run(heartbeat)

    async def _beside(self, lane: IntentLane, heartbeat: Heartbeat) -> None:
        with heartbeat.task() as task:
            await lane.run(task)
