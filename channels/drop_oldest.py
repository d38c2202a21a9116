"""A channel that never blocks its senders: when full, it drops the oldest message and counts it."""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

import trio

T = TypeVar("T")


class DropOldest(Generic[T]):
    """Many senders, one receiver, at most `capacity` messages. Overflow rule: drop the oldest, count it."""

    def __init__(self, name: str, capacity: int) -> None:
        self.name = name
        self.capacity = capacity
        self.dropped = 0
        self._waiting: deque[T] = deque()
        self._receiver = trio.lowlevel.ParkingLot()

    @property
    def depth(self) -> int:
        """Return the number of messages waiting."""
        return len(self._waiting)

    def send(self, message: T) -> None:
        """Append `message`; if the channel is full, drop the oldest one and count it in `dropped`."""
        if len(self._waiting) >= self.capacity:
            self._waiting.popleft()
            self.dropped += 1
        self._waiting.append(message)
        self._receiver.unpark()

    async def receive_all(self) -> list[T]:
        """Wait until there is a message, and take all of them, oldest first."""
        while not self._waiting:
            await self._receiver.park()
        taken = list(self._waiting)
        self._waiting.clear()
        return taken
