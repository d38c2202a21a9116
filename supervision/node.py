"""What a child and a supervisor have in common: a place in the tree that outlives its incarnations."""

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
    """One place in the tree. What happens there is told to `report`."""

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
        """Run one incarnation; set `begun` once it, and all within it, has been started.

        Ends normally when it was stopped or has nothing left to do, raises when it failed.
        """

    @abstractmethod
    async def stop(self) -> None:
        """End the present incarnation, if any, in order and with grace; returns when it is over."""

    @abstractmethod
    def status(self, now_sec: float) -> NodeStatus:
        """This place and all below it."""

    @abstractmethod
    def stalled(self, now_sec: float) -> list[str]:
        """Paths of those here that are at work without progress."""

    @abstractmethod
    def waiting(self) -> list[tuple[str, str]]:
        """Paths, and the dependencies they wait for."""

    def arm(self) -> None:
        """Allow incarnations (again)."""
        self.retired = trio.Event()

    def retire(self) -> None:
        """Allow no further incarnation after the present one."""
        self.retired.set()

    async def incarnate(self, begun: trio.Event) -> Exception | None:
        """Run one incarnation to its end and return the failure that ended it, if it was one.

        What is no `Exception` (cancellation from outside, KeyboardInterrupt, SystemExit) passes through;
        a failure that came with it is reported and goes no further.
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
        """Record and report a failure, and the back-off that follows unless it is the end."""
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
        """Record that this place was ended, to be begun again, only because `other` failed."""
        self._last_reason = f"ended with {other}"

    def rest(self) -> None:
        """Take note that no restart will come after all."""
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
        """The last name of the path."""
        return self.path.rpartition("/")[2]

    @property
    def _restarts(self) -> int:
        return max(0, self._incarnations - 1)
