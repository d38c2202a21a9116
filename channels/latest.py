"""A channel that keeps its latest value for later readers."""

from __future__ import annotations

from typing import Generic, TypeVar

import trio

T = TypeVar("T")


class LatestValue(Generic[T]):
    """One sender, any number of readers. Overflow rule: conflate; the latest value stays for later readers.

    A restarted actor finds the latest value here.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.value: T | None = None
        self._readers = trio.lowlevel.ParkingLot()

    @property
    def depth(self) -> int:
        """Return 1 once a value was sent."""
        return 0 if self.value is None else 1

    def send(self, value: T) -> None:
        """Replace the value and wake every reader that waits for one."""
        self.value = value
        self._readers.unpark_all()

    def withdraw(self) -> None:
        """Remove the value: readers wait for another one."""
        self.value = None

    async def get(self) -> T:
        """Return the latest value; wait for the first one if there is none yet."""
        while self.value is None:
            await self._readers.park()
        return self.value

    async def changed(self) -> T:
        """Wait until a value is sent from now on, and return it."""
        await self._readers.park()
        return await self.get()
