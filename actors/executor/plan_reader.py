"""Reads the plans of one stream for the executor."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from actors.stream_consumer import Batch, Session, StreamConsumer
from store.records import Entry

#: Waiting plans are tasks of their own, so a batch is handed over at once.
BATCH = 64


class PlanReader(StreamConsumer):
    """Hands each entry to the executor, which acknowledges it with its outcome, and reads on."""

    on_begin: Callable[[Session], Awaitable[None]]
    on_sweep: Callable[[Session], Awaitable[None]]
    on_entry: Callable[[PlanReader, Entry, Session], Awaitable[None]]

    async def begin(self, session: Session) -> None:
        """Let the executor take over what is open, before any plan."""
        await self.on_begin(session)

    async def sweep(self, session: Session) -> None:
        """Let the executor do what is due each second."""
        await self.on_sweep(session)

    async def handle(self, batch: Batch) -> None:
        """Hand the entries over, oldest first."""
        for entry in batch.entries:
            await self.on_entry(self, entry, batch.session)
