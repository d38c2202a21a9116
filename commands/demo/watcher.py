"""Reader of the chain's streams into its record, and waits for what they show."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import trio

from commands.demo.machine_load import LoadMeter, NotInTimeError, Patience
from commands.demo.record import STREAMS, Record
from store.redis.client import RedisLink

_BLOCK_MS = 1_000
_LOOK_SEC = 0.5
_GIVE_UP_SEC = 30.0

T = TypeVar("T")


class Watcher:
    """Keeps the record current while it runs."""

    def __init__(self, reads: RedisLink, record: Record, meter: LoadMeter) -> None:
        """`reads` blocks: it is for this alone."""
        self.record = record
        self._reads = reads
        self._meter = meter
        self._changed: dict[str, trio.Event] = {}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Read the streams from their beginning for the length of a block."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._read)
            yield
            nursery.cancel_scope.cancel()

    async def until(self, key: str, done: Callable[[], T | None], what: str, within_sec: float) -> T:
        """Return what `done` finds, tried again at each entry of `key`: an intent, a plan or a symbol.

        Raises NotInTimeError with `what`.
        """
        patience = Patience(within_sec, self._meter)
        while (found := done()) is None:
            if patience.is_over:
                raise NotInTimeError(what)
            with trio.move_on_after(min(_LOOK_SEC, within_sec)):
                await self._changed.setdefault(key, trio.Event()).wait()
        return found

    async def late_or_never(
        self,
        key: str,
        done: Callable[[], T | None],
        what: str,
        within_sec: float,
        late: Callable[[str], None],
    ) -> T | None:
        """Do as `until`; what comes later is reported to `late`, and returned all the same.

        None for what has not come after 30 s more.
        """
        try:
            return await self.until(key, done, what, within_sec)
        except NotInTimeError as error:
            late(str(error))
        try:
            return await self.until(key, done, what, _GIVE_UP_SEC)
        except NotInTimeError:
            return None

    async def _read(self) -> None:
        last = dict.fromkeys(STREAMS, "0")
        while True:
            answer: Any = await self._reads.command(
                "XREAD", "BLOCK", _BLOCK_MS, "STREAMS", *STREAMS, *last.values()
            )
            by_stream = {} if not answer else {key.decode(): rows for key, rows in answer.items()}
            # In this order: what is in one answer of Redis was written so.
            for stream in STREAMS:
                for entry_id, raw in by_stream.get(stream, [[]])[0]:
                    last[stream] = entry_id.decode()
                    # Texts that no reader understands are among them, on purpose.
                    fields = {name.decode(): text.decode(errors="replace") for name, text in raw.items()}
                    event = self._changed.pop(self.record.take(stream, last[stream], fields), None)
                    if event is not None:
                        event.set()
