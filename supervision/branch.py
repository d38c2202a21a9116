"""Running supervisor: starts its children in order, restarts them by its rules, stops them in reverse."""

import sys
from collections.abc import Sequence
from random import Random

import trio

from supervision.backoff import RestartDelays
from supervision.child import Child
from supervision.events import Escalated, NodeStatus
from supervision.failures import RestartIntensityExceeded, reason_of
from supervision.intensity import RestartWindow
from supervision.node import Node, Report
from supervision.specs import ChildSpec, SupervisorSpec


class Branch(Node):
    """Node of one `SupervisorSpec`.

    Its children form segments: a child, and those that are stopped when it fails. Under one-for-one each
    child is a segment of its own. Under rest-for-one all are one segment, run by recursion: the first child,
    and beside it the segment of those after it.
    """

    def __init__(self, spec: SupervisorSpec, path: str, rng: Random, report: Report) -> None:
        super().__init__(path, report)
        self._spec = spec
        self._rng = rng
        self._nodes: list[Node] = [
            Child(child, f"{path}/{child.name}", report)
            if isinstance(child, ChildSpec)
            else Branch(child, f"{path}/{child.name}", rng, report)
            for child in spec.children
        ]
        self._segments = [[node] for node in self._nodes]
        if spec.strategy == "rest_for_one":
            self._segments = [self._nodes]
        self._window = RestartWindow(spec.intensity)
        self._delays: dict[str, RestartDelays] = {}
        self._scope = trio.CancelScope()
        self._over: trio.Event | None = None
        self._given_up: RestartIntensityExceeded | None = None

    async def live(self, begun: trio.Event) -> None:
        """Run the children until all have ended. Raises `RestartIntensityExceeded`."""
        over = self._over = trio.Event()
        self._scope = trio.CancelScope()
        self._window = RestartWindow(self._spec.intensity)
        self._delays = {node.path: RestartDelays(self._spec.backoff, self._rng) for node in self._nodes}
        for node in self._nodes:
            node.arm()
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    for segment in self._segments:
                        segment_begun = trio.Event()
                        nursery.start_soon(self._keep, segment, segment_begun, name=f"keep {segment[0].path}")
                        await segment_begun.wait()
                    begun.set()
        finally:
            self._over = None
            over.set()
        given_up, self._given_up = self._given_up, None
        if given_up is not None:
            raise given_up

    async def stop(self) -> None:
        """Stop the children in reverse order, each with its grace."""
        over = self._over
        if over is None:
            return
        self._become("stopping")
        await _stop_in_reverse(self._nodes)
        await over.wait()

    def status(self, now_sec: float) -> NodeStatus:
        restarts = self._spec.intensity.restarts
        return NodeStatus(
            name=self.name,
            state=self._state,
            waiting_for=(),
            restarts=self._restarts,
            last_reason=self._last_reason,
            since_sec=None if self._since_sec is None else now_sec - self._since_sec,
            children=tuple(node.status(now_sec) for node in self._nodes),
            recent_failures=self._window.count(now_sec),
            failures_allowed=None if restarts == sys.maxsize else restarts,
        )

    def stalled(self, now_sec: float) -> list[str]:
        return [path for node in self._nodes for path in node.stalled(now_sec)]

    def note_ended_with(self, other: str) -> None:
        super().note_ended_with(other)
        for node in self._nodes:
            node.note_ended_with(other)

    def waiting(self) -> list[tuple[str, str]]:
        return [wait for node in self._nodes for wait in node.waiting()]

    async def _keep(self, segment: Sequence[Node], begun: trio.Event) -> None:
        """Run the first of the segment, with restarts, and the rest beside it, until retired or ended."""
        head, rest = segment[0], segment[1:]
        try:
            while not head.retired.is_set():
                for node in rest:
                    node.arm()
                async with trio.open_nursery() as nursery:
                    head_begun = trio.Event()
                    nursery.start_soon(self._keep_after, head_begun, rest, begun)
                    restart_delay_sec = self._judge(head, await head.incarnate(head_begun))
                    if restart_delay_sec is not None:
                        await _stop_in_reverse(rest)
                        for node in rest:
                            node.note_ended_with(head.name)
                if restart_delay_sec is None:
                    break
                with trio.move_on_after(restart_delay_sec):
                    await head.retired.wait()
        finally:
            head.rest()
            begun.set()

    async def _keep_after(self, head_begun: trio.Event, rest: Sequence[Node], begun: trio.Event) -> None:
        await head_begun.wait()
        if rest:
            await self._keep(rest, begun)
        begun.set()

    def _judge(self, node: Node, failure: Exception | None) -> float | None:
        """Return the delay before the restart (seconds); `None` for no restart."""
        self._delays[node.path].ran(node.healthy_sec)
        if failure is None:
            return None
        now_sec = trio.current_time()
        cancelled = trio.current_effective_deadline() <= now_sec
        if node.retired.is_set() or cancelled:
            node.note_crash(failure, delay_sec=None)
            return None
        if not self._window.admits(now_sec):
            node.note_crash(failure, delay_sec=None)
            self._give_up(node, failure)
            return None
        delay_sec = self._delays[node.path].next_sec()
        node.note_crash(failure, delay_sec)
        return delay_sec

    def _give_up(self, node: Node, failure: Exception) -> None:
        intensity = self._spec.intensity
        self._given_up = RestartIntensityExceeded(
            self.path, node.path, intensity.restarts, intensity.within_sec
        )
        self._given_up.__cause__ = failure
        self._report(Escalated(path=self.path, child=node.path, reason=reason_of(failure)))
        for other in self._nodes:
            if other is not node:
                other.note_ended_with(self.name)
        self._scope.cancel()


async def _stop_in_reverse(nodes: Sequence[Node]) -> None:
    # All are retired before the first is awaited, so that none restarts after its back-off in that time.
    for node in nodes:
        node.retire()
    for node in reversed(nodes):
        await node.stop()
