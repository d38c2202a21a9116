"""The whole tree: what runs it, stops it, and asks how it is."""

from collections.abc import Callable
from random import Random

import trio

from supervision.branch import Branch
from supervision.events import NodeStatus, SupervisionEvent
from supervision.specs import SupervisorSpec


class Tree:
    """Runs what `spec` declares, once.

    `rng` gives the jitter of all back-offs. `on_event` is told what happens, synchronously and in order: it
    must neither block nor raise. What it raises counts as a failure of the supervisor that told it, and
    so leaves `run` in the end.
    """

    def __init__(
        self, spec: SupervisorSpec, *, rng: Random, on_event: Callable[[SupervisionEvent], None]
    ) -> None:
        self._root = Branch(spec, spec.name, rng, on_event)
        self._stop_asked = trio.Event()

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run until `stop()` is over or every child has come to its end.

        `task_status` is told when all children have been started once, in order. Raises
        `RestartIntensityExceeded` when restarting does not help. Cancelling `run` cancels every child at
        once, without grace. A child's KeyboardInterrupt or SystemExit ends the tree and is raised, in the
        group of the nurseries it crossed.
        """
        if self._stop_asked.is_set():
            task_status.started()
            return
        begun = trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._announce, begun, task_status)
            nursery.start_soon(self._stop_when_asked)
            failure = await self._root.incarnate(begun)
            self._stop_asked.set()
        if failure is not None:
            self._root.note_crash(failure, delay_sec=None)
            raise failure

    def stop(self) -> None:
        """Ask for an ordered stop and return at once.

        The children are stopped in the reverse of their starting order, one after the other, each with its
        own grace. Whoever must be done by a certain time cancels `run` then.
        """
        self._stop_asked.set()

    def status(self) -> NodeStatus:
        """The tree as it is now; call it inside the trio run."""
        return self._root.status(trio.current_time())

    def progressing(self) -> bool:
        """Whether every child makes progress: none is `stalled()`."""
        return not self.stalled()

    def stalled(self) -> list[str]:
        """The paths of the children that have been at work for longer than their limit without a beat.

        Waiting for a named dependency, having no work, backing off and stopping are all progress. A stalled
        child is cancelled at its limit, so it stays here only where that does not help.
        """
        return self._root.stalled(trio.current_time())

    def waiting(self) -> list[tuple[str, str]]:
        """The paths of the children that wait for a dependency, and which."""
        return self._root.waiting()

    async def _announce(self, begun: trio.Event, task_status: trio.TaskStatus[None]) -> None:
        await begun.wait()
        task_status.started()

    async def _stop_when_asked(self) -> None:
        await self._stop_asked.wait()
        self._root.retire()
        await self._root.stop()
