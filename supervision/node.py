"""Node of the tree, child or supervisor, which outlives its incarnations."""

from abc import ABC, abstractmethod
from collections.abc import Callable

import trio

from supervision.events import (
    ChildCrashed,
    ChildStarted,
    ChildStopped,
    NodeStatus,
    State,
    StopReason,
    SupervisionEvent,
)
from supervision.failures import reason_of, type_name, unwrapped

Report = Callable[[SupervisionEvent], None]


class Node(ABC):
    """Node of the tree. Its events go to `report`."""

    def __init__(self, path: str, report: Report) -> None:
        self.path = path
        self.retired = trio.Event()
        self.healthy_sec = 0.0
        self._report = report
        self._incarnations = 0
        self._last_reason: str | None = None
        self._state: State = "stopped"
        self._since_sec: float | None = None

    @abstractmethod
    async def live(self, begun: trio.Event) -> None:
        """Run one incarnation; set `begun` once it and all its children have been started.

        Returns when it was stopped or has ended, raises when it failed.
        """

    @abstractmethod
    async def stop(self) -> None:
        """Stop the present incarnation, if any, in order and with grace; return when it has ended."""

    @abstractmethod
    def status(self, now_sec: float) -> NodeStatus:
        """Return the state of this node and all below it."""

    @abstractmethod
    def stalled(self, now_sec: float) -> list[str]:
        """Return the paths of children at work without progress."""

    @abstractmethod
    def waiting(self) -> list[tuple[str, str]]:
        """Return paths with the dependencies that they wait for."""

    def arm(self) -> None:
        """Allow incarnations (again)."""
        self.retired = trio.Event()

    def retire(self) -> None:
        """Allow no further incarnation after the present one."""
        self.retired.set()

    async def incarnate(self, begun: trio.Event) -> Exception | None:
        """Run one incarnation to its end; return its failure, if any.

        Anything but an `Exception` (cancellation from outside, KeyboardInterrupt, SystemExit) passes through;
        a failure beside it is reported only.
        """
        started_sec = trio.current_time()
        self._incarnations += 1
        self._become("running")
        self._report(ChildStarted(path=self.path, restart_number=self._incarnations - 1))
        try:
            await self.live(begun)
        except Exception as failure:  # noqa: BLE001 - the one place where every failure of a child ends
            self.healthy_sec = self._healthy_until_sec() - started_sec
            return unwrapped(failure)
        except BaseExceptionGroup as passing:
            failures, passing_on = passing.split(Exception)
            if failures is None or passing_on is None:
                self._note_stopped("cancelled")
                raise
            self.note_crash(unwrapped(failures), delay_sec=None)
            raise passing_on from None
        except BaseException:
            self._note_stopped("cancelled")
            raise
        finally:
            begun.set()
        self.healthy_sec = trio.current_time() - started_sec
        self._note_stopped(self._ending())
        return None

    def note_crash(self, failure: Exception, delay_sec: float | None) -> None:
        """Record and report a failure, with the back-off before a restart, if one follows."""
        self._last_reason = reason_of(failure)
        self._become("stopped" if delay_sec is None else "backing_off")
        self._report(
            ChildCrashed(
                path=self.path,
                reason=self._last_reason,
                exception_type=type_name(failure),
                restart_number=None if delay_sec is None else self._incarnations,
                delay_sec=delay_sec,
                failure=failure,
            )
        )

    def note_ended_with(self, other: str) -> None:
        """Record that this node was stopped, to be restarted, because `other` failed."""
        self._last_reason = f"ended with {other}"

    def rest(self) -> None:
        """Record that the announced restart will not come."""
        if self._state == "backing_off":
            self._become("stopped")

    def _note_stopped(self, reason: StopReason) -> None:
        self._become("stopped")
        self._report(ChildStopped(path=self.path, reason=reason))

    def _become(self, state: State) -> None:
        self._state = state
        self._since_sec = trio.current_time()

    def _ending(self) -> StopReason:
        return "asked" if self.retired.is_set() else "returned"

    def _healthy_until_sec(self) -> float:
        return trio.current_time()

    @property
    def name(self) -> str:
        """Name of the node, the last one of the path."""
        return self.path.rpartition("/")[2]

    @property
    def _restarts(self) -> int:
        return max(0, self._incarnations - 1)
