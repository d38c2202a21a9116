"""A channel whose senders wait while it is full."""

from __future__ import annotations

from typing import Generic, TypeVar

import trio

T = TypeVar("T")


class PushBack(Generic[T]):
    """A trio memory channel of `capacity` messages with a name. Overflow rule: the sender waits."""

    def __init__(self, name: str, capacity: int) -> None:
        self.name = name
        self._send, self._receive = trio.open_memory_channel[T](capacity)

    @property
    def depth(self) -> int:
        """Return the number of messages waiting."""
        return self._send.statistics().current_buffer_used

    async def send(self, message: T) -> None:
        """Send `message`; wait for room first."""
        await self._send.send(message)

    async def receive(self) -> T:
        """Wait for the next message."""
        return await self._receive.receive()
