"""Reads positions for decisions that wait: one symbol alone, or all in one request that they share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec
import trio

from brain.moment import Moment
from clock import Clock
from exchange.errors import BudgetExhausted, ExchangeError, ExchangeRejected
from exchange.protocol import Exchange, PositionsRead, Priority
from exchange.shared_read import SharedRead

#: An older request is not waited for: it hangs, or the exchange is slower than any plan's patience.
_LONGEST_ANSWER_SEC = 2.0
#: Before the deadline, so that the refusal can still be reported as the reason.
_REPORT_SEC = 0.01


class OnDemandReads:
    """On-demand reads of all shards. Outlives the actors that use it.

    Weight is 5 for one symbol as for all of them. So a request that waits alone reads its symbol; while two
    or more symbols wait, they share one read of all positions, and a read of all that is under way or was
    answered, and that was sent late enough, serves every one of them without a request.
    """

    def __init__(
        self, exchange: Exchange, everything: SharedRead, one_by_one: Callable[[], bool], clock: Clock
    ) -> None:
        """`everything` reads all positions; it is not used while `one_by_one()`."""
        self._exchange = exchange
        self._everything = everything
        self._one_by_one = one_by_one
        self._clock = clock
        self._waiting = 0

    async def read(
        self, symbol: str, sent_after: Moment | None, deadline_sec: float, nursery: trio.Nursery
    ) -> tuple[PositionsRead, bool]:
        """The symbol's rows, by a read sent at or after `sent_after`, and whether that was a read of all.

        A read of all is carried by `nursery`: it goes on when this caller is cancelled, since others wait
        for it. Where the request weight is used up, waits until `deadline_sec` (trio's clock) for a read
        that another task sends. Raises as `Exchange.positions` does.
        """
        oldest = self._clock.now().earlier_by(_LONGEST_ANSWER_SEC)
        wanted = oldest if sent_after is None else max(oldest, sent_after)
        with self._counted():
            await trio.sleep_until(wanted.monotonic_sec)
            while True:
                try:
                    return await self._ask(symbol, wanted, nursery)
                except BudgetExhausted as refusal:
                    if self._one_by_one():
                        raise
                    until_sec, last_sec = refusal.until.monotonic_sec, deadline_sec - _REPORT_SEC
                    with trio.move_on_at(min(until_sec, last_sec)):
                        return _rows_of(symbol, await self._everything.landed(wanted)), True
                    if until_sec >= last_sec:
                        raise

    async def _ask(self, symbol: str, wanted: Moment, nursery: trio.Nursery) -> tuple[PositionsRead, bool]:
        under_way = self._everything.has(wanted)
        if not self._one_by_one() and (under_way or self._waiting > 1):
            try:
                if not under_way:
                    await nursery.start(self._read_all, wanted)
                read = await self._everything.read(wanted, Priority.ON_DEMAND)
            except ExchangeRejected:
                # A refusal of the read of all: from now on each symbol is read alone.
                if not self._one_by_one():
                    raise
            else:
                return _rows_of(symbol, read), True
        return await self._exchange.positions(symbol, priority=Priority.ON_DEMAND), False

    async def _read_all(
        self, wanted: Moment, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        task_status.started()
        try:
            await self._everything.read(wanted, Priority.ON_DEMAND)
        except ExchangeError:
            return  # each caller that waits for this read gets the error

    @contextmanager
    def _counted(self) -> Iterator[None]:
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1


def _rows_of(symbol: str, read: PositionsRead) -> PositionsRead:
    # A row without a readable name may be any symbol's.
    unreadable = {name: why for name, why in read.unreadable.items() if name in (symbol, "")}
    rows = tuple(row for row in read.rows if row.symbol == symbol)
    return msgspec.structs.replace(read, rows=rows, unreadable=unreadable)
