"""Crashes: of the n-th task that passes a chosen await, or of an actor at any of its steps."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import trio

from supervision import ChildSpec, Heartbeat


class SabotageError(Exception):
    """The error that is raised inside an actor on purpose."""


class Tripwire:
    """Lies across one kind of way: calls of the store, requests, what a stream's reader waits for."""

    def __init__(self, way: str) -> None:
        self._way = way
        self._left = 0

    def lay(self, passing: int) -> None:
        """Let the `passing`-th task from now fail; 0: none."""
        self._left = passing

    def cross(self) -> None:
        """Raises SabotageError if it is one's turn."""
        if self._left:
            self._left -= 1
            if not self._left:
                raise SabotageError(self._way)


class Sabotage:
    """Raises inside the running incarnation of an actor, at whatever it awaits."""

    def __init__(self) -> None:
        self._triggers: dict[str, trio.Event] = {}
        self._nurseries: dict[str, trio.Nursery] = {}
        self._countdowns: dict[trio.Nursery, list[_Countdown]] = {}

    def actors(self) -> list[str]:
        """Return those that run, or have run, in the order of their first start."""
        return list(self._triggers)

    def strike(self, name: str, *, after_steps: int) -> None:
        """Let the actor fail after so many steps of its tasks."""
        nursery = self._nurseries[name]
        if nursery in self._countdowns:
            countdown = _Countdown(nursery, after_steps, self._triggers[name].set)
            self._countdowns[nursery].append(countdown)
            trio.lowlevel.add_instrument(countdown)

    def rigged(self, child: ChildSpec) -> ChildSpec:
        """Return the actor beside a trigger."""

        async def start(heartbeat: Heartbeat) -> None:
            trigger = self._triggers[child.name] = trio.Event()
            try:
                async with trio.open_nursery() as nursery:
                    self._nurseries[child.name] = nursery
                    self._countdowns[nursery] = []
                    nursery.start_soon(_raise_when, trigger)
                    await child.start(heartbeat)
                    nursery.cancel_scope.cancel()
            finally:
                for countdown in self._countdowns.pop(nursery):
                    countdown.end()

        return msgspec.structs.replace(child, start=start)


class _Countdown(trio.abc.Instrument):
    """Calls `struck` once the tasks of a nursery, and those below them, have had so many steps."""

    def __init__(self, nursery: trio.Nursery, steps: int, struck: Callable[[], None]) -> None:
        self._nursery = nursery
        self._left = steps
        self._struck = struck
        self._ended = False

    def end(self) -> None:
        """Count no further. It costs every step of every task."""
        if not self._ended:
            self._ended = True
            trio.lowlevel.remove_instrument(self)

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        """Count it."""
        nursery = task.parent_nursery
        while nursery is not None and nursery is not self._nursery:
            nursery = nursery.parent_task.parent_nursery
        if nursery is None:
            return
        self._left -= 1
        if self._left <= 0:
            self.end()
            self._struck()


async def _raise_when(trigger: trio.Event) -> None:
    await trigger.wait()
    raise SabotageError("struck")
