"""Root of the supervision tree: run, stop, status."""

from collections.abc import Callable
from random import Random

import trio

from supervision.branch import Branch
from supervision.events import NodeStatus, SupervisionEvent
from supervision.specs import SupervisorSpec


class Tree:
    """Tree of `spec`; it runs once.

    `rng` gives the jitter of all back-offs. `on_event` gets each event, synchronously and in order. It must
    neither block nor raise: its exception counts as a failure of the supervisor that called it, and leaves
    `run` in the end.
    """

    def __init__(
        self, spec: SupervisorSpec, *, rng: Random, on_event: Callable[[SupervisionEvent], None]
    ) -> None:
        self._root = Branch(spec, spec.name, rng, on_event)
        self._stop_asked = trio.Event()

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run until `stop()` is over or every child has come to its end.

        `task_status.started()` is called when all children have been started once, in order. Raises
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
        """Request an ordered stop and return at once.

        The children are stopped in the reverse of their starting order, one after the other, each with its
        own grace. For a deadline on the whole stop, cancel `run`.
        """
        self._stop_asked.set()

    def status(self) -> NodeStatus:
        """Return the present state of the tree; call it inside the Trio run."""
        return self._root.status(trio.current_time())

    def progressing(self) -> bool:
        """Return True if no child is `stalled()`."""
        return not self.stalled()

    def stalled(self) -> list[str]:
        """Return the paths of children that have been at work for longer than their limit without a beat.

        Waiting for a named dependency, having no work, backing off and stopping are all progress. A stalled
        child is cancelled at its limit, so it stays here only where that does not help.
        """
        return self._root.stalled(trio.current_time())

    def waiting(self) -> list[tuple[str, str]]:
        """Return the paths of children that wait for a dependency, with its name."""
        return self._root.waiting()

    async def _announce(self, begun: trio.Event, task_status: trio.TaskStatus[None]) -> None:
        await begun.wait()
        task_status.started()

    async def _stop_when_asked(self) -> None:
        await self._stop_asked.wait()
        self._root.retire()
        await self._root.stop()
