"""Books batches of results: two Redis round trips for what needs only Redis, and the others one by one.

A batch never waits for the exchange: a result that does is booked alone, in its place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

from actors.ledger_writer.adoption import LedgerAdoption
from actors.ledger_writer.booking import CommitPlanner
from actors.ledger_writer.contained_fills import ContainedFills
from actors.ledger_writer.projected_state import ProjectedState
from actors.ledger_writer.reports import ResultReports, Written
from actors.ledger_writer.waiting_results import WaitingResults
from actors.stream_consumer import MOST_FAILURES, FailureCounter
from brain.identifiers import FencingToken, OrderId, Symbol
from brain.ledger.booking import NeedsAdoption, Waiting
from brain.ledger.result import DeadResult, ExecutedResult, RefusedResult, read_result
from channels import WaitingResult
from exchange.errors import UnreadablePosition
from store.errors import WrongTypeError
from store.protocol import ResultStore
from store.records import BookingKeys, Entry, ResultCommit
from supervision import Heartbeat

#: An error fails all results of a batch: after it each of them is tried alone.
MOST_TOGETHER = 64

_Readable = tuple[Entry, ExecutedResult | RefusedResult]


class BatchBooking:
    """Part of the ledger writer: each result is planned on the state that those before it will leave."""

    def __init__(
        self,
        store: ResultStore,
        planner: CommitPlanner,
        *,
        failures: FailureCounter,
        contained: ContainedFills,
        adoption: LedgerAdoption,
        waiting: WaitingResults,
        reports: ResultReports,
    ) -> None:
        self._store = store
        self._planner = planner
        self._failures = failures
        self._contained = contained
        self._adoption = adoption
        self._waiting = waiting
        self._reports = reports

    async def book(self, entries: list[Entry], fence: FencingToken, heartbeat: Heartbeat) -> None:
        """Book the entries in their order. Raises what the store raises, except its refusals for batches.

        A batch ends before the first entry that needs more than Redis (a dead letter, a ledger to be adopted,
        the exchange's trades) or that was in a batch which has failed. That one is booked alone, and so is
        one that Redis did not take as planned; those behind it that rested on it are planned again.
        """
        while entries:
            batch, rest = entries[:MOST_TOGETHER], entries[MOST_TOGETHER:]
            left = await self._book_together(batch, fence)
            heartbeat.beat()
            if left:
                await self._book_alone(left.pop(0), fence, heartbeat)
                heartbeat.beat()
            entries = left + rest

    async def _book_together(self, batch: Sequence[Entry], fence: FencingToken) -> list[Entry]:
        """Book what Redis's state suffices for; return the others, in their order."""
        readable = self._readable(batch)
        with self._failures.attributed_to([entry.id for entry, _ in readable]):
            commits = await self._plan(readable)
            times = await self._store.commit_results(fence, commits) if commits else []
        left: list[Entry] = []
        written: list[Written] = []
        for (entry, result), commit, booked_ms in zip(readable[: len(commits)], commits, times, strict=True):
            if booked_ms is None:
                left.append(entry)
            else:
                self._failures.done(entry.id)
                written.append((entry, result, commit, booked_ms))
        self._reports.written_together(written)
        left += [entry for entry, _ in readable[len(commits) :]]
        return left + list(batch[len(readable) :])

    def _readable(self, batch: Sequence[Entry]) -> list[_Readable]:
        readable: list[_Readable] = []
        for entry in batch:
            if entry.fields is None or self._failures.of(entry.id):
                break
            result = read_result(entry.fields)
            if isinstance(result, DeadResult):
                break
            readable.append((entry, result))
        return readable

    async def _plan(self, readable: Sequence[_Readable]) -> list[ResultCommit]:
        """Return the commits of the longest beginning for which Redis's state suffices."""
        if not readable:
            return []
        wanted = [_keys_of(result) for _, result in readable]
        states = await self._store.booking_states(wanted)
        projected, commits = ProjectedState(), list[ResultCommit]()
        for (entry, result), keys, read in zip(readable, wanted, states, strict=True):
            if read is None:
                break
            state = projected.state(keys, read)
            contained = self._contained.known(entry, result, state)
            if contained is None:
                break
            commit = self._planner.plan(entry, result, state, contained=contained)
            if not isinstance(commit, ResultCommit):
                break
            projected.add(commit, state)
            commits.append(commit)
        return commits

    async def _book_alone(self, entry: Entry, fence: FencingToken, heartbeat: Heartbeat) -> None:
        failures = self._failures.of(entry.id)
        with self._failures.attributed_to((entry.id,)):
            await self._book_or_dead_letter(entry, failures, fence, heartbeat)
        self._failures.done(entry.id)

    async def _book_or_dead_letter(
        self, entry: Entry, failures: int, fence: FencingToken, heartbeat: Heartbeat
    ) -> None:
        if entry.fields is None:
            await self._dead_letter(entry, DeadResult("trimmed while it was pending"), fence)
        elif failures >= MOST_FAILURES:
            await self._dead_letter(entry, DeadResult(f"booking it has failed {failures} times"), fence)
        else:
            result = read_result(entry.fields)
            try:
                if isinstance(result, DeadResult):
                    await self._dead_letter(entry, result, fence)
                else:
                    await self._book_result(entry, result, fence, heartbeat)
            except WrongTypeError as refusal:
                # A key has to be repaired: the result is then among the dead letters. Other refusals are
                # tried again.
                await self._dead_letter(entry, DeadResult(str(refusal)), fence)

    async def _book_result(
        self, entry: Entry, result: ExecutedResult | RefusedResult, fence: FencingToken, heartbeat: Heartbeat
    ) -> None:
        """Book one result, and wait for all that this needs, except for an operator."""
        keys = _keys_of(result)
        adopted_with_it = False
        while True:
            state = await self._store.booking_state(*keys)
            contained: Mapping[OrderId, Decimal] = {
                order.order_id: order.cumulative for order in result.orders
            }
            if not adopted_with_it:
                contained = await self._contained.find(entry, result, state, heartbeat)
            exchange = self._adoption.fresh_legs(keys.symbol)
            match self._planner.plan(entry, result, state, contained=contained, exchange=exchange):
                case NeedsAdoption():
                    try:
                        adopted_with_it = await self._adoption.adopt_for(keys.symbol, fence, heartbeat)
                    except UnreadablePosition as error:
                        dead = DeadResult(f"no ledger could be adopted: {error}")
                        return await self._dead_letter(entry, dead, fence)
                case DeadResult() as dead:
                    return await self._dead_letter(entry, dead, fence)
                case Waiting(why):
                    return self._waiting.wait(WaitingResult(entry.id, keys.symbol, result.plan_id, why))
                case ResultCommit() as commit:
                    booked_ms = await self._store.commit_result(fence, commit)
                    if booked_ms is not None:
                        return self._reports.written(entry, result, commit, booked_ms)

    async def _dead_letter(self, entry: Entry, dead: DeadResult, fence: FencingToken) -> None:
        commit = self._planner.dead_letter(entry, dead.error, unjoined=dead.unjoined)
        await self._store.commit_result(fence, commit)
        self._reports.dead_letter(entry, dead.error)


def _keys_of(result: ExecutedResult | RefusedResult) -> BookingKeys:
    return BookingKeys(
        result.symbol or Symbol(""), result.plan_id, tuple(order.order_id for order in result.orders)
    )
