"""A channel in which the newest message of a key replaces the one still waiting."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

import trio

T = TypeVar("T")


class Conflating(Generic[T]):
    """Many senders, one receiver; holds at most one message a key, so it is bounded by the number of keys.

    Overflow rule: conflate. `newer(waiting, arriving)` chooses which of two messages of one key stays; by
    default the arriving one does. Sending never blocks. Where keys never come again, `capacity` bounds them:
    beyond it the oldest message is dropped and counted.
    """

    def __init__(
        self,
        name: str,
        key: Callable[[T], Hashable],
        newer: Callable[[T, T], T] = lambda _waiting, arriving: arriving,
        *,
        capacity: int | None = None,
    ) -> None:
        self.name = name
        self.capacity = capacity
        self.dropped = 0
        self._key = key
        self._newer = newer
        self._waiting: dict[Hashable, T] = {}
        self._receiver = trio.lowlevel.ParkingLot()

    @property
    def depth(self) -> int:
        """Return the number of messages waiting."""
        return len(self._waiting)

    def send(self, message: T) -> None:
        """Send `message`, in place of a waiting one with the same key.

        The message goes behind all that were sent before: it never overtakes an earlier one with another key,
        so a proof of the stream cannot overtake the pushes that it covers.
        """
        key = self._key(message)
        waiting = self._waiting.pop(key, None)
        self._waiting[key] = message if waiting is None else self._newer(waiting, message)
        if self.capacity is not None and len(self._waiting) > self.capacity:
            del self._waiting[next(iter(self._waiting))]
            self.dropped += 1
        self._receiver.unpark()

    async def receive_all(self) -> list[T]:
        """Wait until there is a message, and take all of them, in the order of their sending."""
        while not self._waiting:
            await self._receiver.park()
        taken = list(self._waiting.values())
        self._waiting.clear()
        return taken
