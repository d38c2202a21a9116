"""Running child: one actor, watched for stalls, stopped with a grace period."""

import trio

from supervision.events import ChildStalled, NodeStatus, StopReason
from supervision.failures import Returned, Stalled
from supervision.heartbeat import Heartbeat
from supervision.node import Node, Report
from supervision.specs import ChildSpec

#: Delay of a check (seconds) that means the whole process stood still, so that the child is not at fault.
_STOOD_STILL_SEC = 1.0
#: Part of its limit in which a child that was stopped with the process shows that it goes on.
_GOES_ON = 0.05


class Child(Node):
    """Node of one `ChildSpec`."""

    def __init__(self, spec: ChildSpec, path: str, report: Report) -> None:
        super().__init__(path, report)
        self._spec = spec
        self._heartbeat: Heartbeat | None = None
        self._scope = trio.CancelScope()
        self._over = trio.Event()
        self._stalled = False
        self._progress_sec = 0.0

    async def live(self, begun: trio.Event) -> None:
        """Run the actor once. Raises what it raises, `Stalled`, or `Returned` if it must not return."""
        heartbeat = self._heartbeat = Heartbeat()
        scope = self._scope = trio.CancelScope()
        over = self._over = trio.Event()
        self._stalled = False
        begun.set()
        try:
            with scope:
                async with trio.open_nursery() as nursery:
                    if self._spec.stall_limit_sec is not None:
                        nursery.start_soon(self._watch, heartbeat, self._spec.stall_limit_sec)
                    await self._spec.start(heartbeat)
                    nursery.cancel_scope.cancel()
        except Exception as crash:
            if self._stalled:
                raise Stalled("stalled") from crash
            raise
        finally:
            self._progress_sec = heartbeat.beat_sec if self._stalled else trio.current_time()
            self._heartbeat = None
            over.set()
        if self._stalled:
            raise Stalled("stalled")
        if self._spec.restart == "permanent" and not heartbeat.stopping.is_set():
            raise Returned("returned, though permanent")

    async def stop(self) -> None:
        """Ask the actor to end, cancel it after its grace; returns when it has ended.

        A child that waits for a dependency is cancelled at once: it cannot finish before that answers, which
        may be never.
        """
        heartbeat, scope, over = self._heartbeat, self._scope, self._over
        if heartbeat is None:
            return
        heartbeat.stopping.set()
        self._become("stopping")
        with trio.move_on_after(0.0 if heartbeat.awaiting else self._spec.stop_grace_sec):
            await over.wait()
        scope.cancel()
        await over.wait()

    def status(self, now_sec: float) -> NodeStatus:
        state, since_sec = self._state, self._since_sec
        waits = [] if self._heartbeat is None else self._heartbeat.waits()
        if self._heartbeat is not None and state == "running":
            if waits:
                state, since_sec = "waiting", min(wait.since_sec for wait in waits)
            elif not self._heartbeat.spoken:
                state = "starting"
        return NodeStatus(
            name=self.name,
            state=state,
            waiting_for=tuple(wait.what for wait in waits),
            restarts=self._restarts,
            last_reason=self._last_reason,
            since_sec=None if since_sec is None else now_sec - since_sec,
            children=(),
        )

    def stalled(self, now_sec: float) -> list[str]:
        limit_sec = self._spec.stall_limit_sec
        if self._heartbeat is None or limit_sec is None:
            return []
        beat_sec = self._heartbeat.oldest_beat_at_work_sec()
        return [self.path] if beat_sec is not None and now_sec > beat_sec + limit_sec else []

    def waiting(self) -> list[tuple[str, str]]:
        if self._heartbeat is None:
            return []
        return [(self.path, wait.what) for wait in self._heartbeat.waits()]

    async def _watch(self, heartbeat: Heartbeat, limit_sec: float) -> None:
        awake_since_sec = trio.current_time()
        while True:
            now_sec = trio.current_time()
            beat_sec = heartbeat.oldest_beat_at_work_sec()
            look_again_sec = limit_sec + (now_sec if beat_sec is None else max(beat_sec, awake_since_sec))
            if look_again_sec <= now_sec:
                # A stop for about the limit is over, or the child hangs: one that goes on shows it soon.
                await trio.sleep(_GOES_ON * limit_sec)
                if heartbeat.oldest_beat_at_work_sec() == beat_sec:
                    break
                continue
            await trio.sleep_until(look_again_sec)
            if trio.current_time() - look_again_sec > _STOOD_STILL_SEC:
                # The process was stopped, or its machine suspended: no child could have made progress.
                awake_since_sec = trio.current_time()
        self._stalled = True
        self._report(ChildStalled(path=self.path, stall_limit_sec=limit_sec))
        self._scope.cancel()

    def _ending(self) -> StopReason:
        return "out of grace" if self._scope.cancelled_caught else super()._ending()

    def _healthy_until_sec(self) -> float:
        return self._progress_sec
