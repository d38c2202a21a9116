"""Books a batch of results in two Redis round trips, whatever their symbols."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal

import msgspec

from actors.ledger_writer.booking import BookingPlan, plan_booking, plan_release
from actors.ledger_writer.contained_fills import ContainedFills
from actors.stream_consumer import Attempts
from brain.ledger.ledger import StoredLedger
from brain.ledger.result import DeadResult, ExecutedResult, RefusedResult, read_result
from store.protocol import ResultStore
from store.records import BookingKeys, BookingState, Entry, ResultCommit

#: All of them were in hand where something fails, and are tried alone after that.
MOST_TOGETHER = 64


class Booked(msgspec.Struct, frozen=True):
    """A result that was booked at `booked_ms` (Redis's clock). `plan` is None for a refusal."""

    entry: Entry
    result: ExecutedResult | RefusedResult
    plan: BookingPlan | None
    booked_ms: int


class JointlyBooked(msgspec.Struct, frozen=True):
    """What was booked of a batch. `alone`, if any, is to be booked by itself next; `rest` comes after it."""

    booked: list[Booked]
    alone: Entry | None
    rest: list[Entry]


class _Planned(msgspec.Struct, frozen=True):
    entry: Entry
    result: ExecutedResult | RefusedResult
    plan: BookingPlan | None
    commit: ResultCommit


class JointBooking:
    """Books the entries at the beginning of a batch that need nothing but Redis."""

    def __init__(
        self,
        store: ResultStore,
        attempts: Attempts,
        contained: ContainedFills,
        *,
        hedge_mode: Callable[[], bool],
        now_sec: Callable[[], Decimal],
        mark_ttl_ms: int,
    ) -> None:
        """`now_sec`: Redis's clock, which ledgers are dated by."""
        self._store = store
        self._attempts = attempts
        self._contained = contained
        self._hedge_mode = hedge_mode
        self._now_sec = now_sec
        self._mark_ttl_ms = mark_ttl_ms

    async def book(self, entries: Sequence[Entry], fence: str) -> JointlyBooked:
        """Book the first `MOST_TOGETHER` of the entries, in their order.

        Each is planned on the state that those before it will leave. One that Redis did not take as planned
        is the next `alone`; those behind it that rested on it are planned again. Planning ends before the
        first entry that wants more than Redis: a dead letter, a ledger to be adopted, the exchange's answer,
        or to be tried alone because it was in hand in a failure. Raises what the store raises, except its
        refusals.
        """
        batch = entries[:MOST_TOGETHER]
        readable = self._readable(batch)
        for entry, _ in readable:
            self._attempts.begin(entry.id)
        planned = await self._plan(readable)
        commits = [each.commit for each in planned]
        times = await self._store.commit_results(fence, commits) if commits else []
        booked: list[Booked] = []
        rest: list[Entry] = []
        for each, booked_ms in zip(planned, times, strict=True):
            if booked_ms is None:
                rest.append(each.entry)
                self._attempts.put_off(each.entry.id)
            else:
                booked.append(Booked(each.entry, each.result, each.plan, booked_ms))
                self._attempts.done(each.entry.id)
        for entry, _ in readable[len(planned) :]:
            self._attempts.put_off(entry.id)
        stuck = bool(rest) or len(planned) < len(batch)
        rest += entries[len(planned) :]
        return JointlyBooked(booked, rest.pop(0) if stuck else None, rest)

    def _readable(self, entries: Sequence[Entry]) -> list[tuple[Entry, ExecutedResult | RefusedResult]]:
        readable: list[tuple[Entry, ExecutedResult | RefusedResult]] = []
        for entry in entries:
            if entry.fields is None or self._attempts.has_failed(entry.id):
                break
            result = read_result(entry.fields)
            if isinstance(result, DeadResult):
                break
            readable.append((entry, result))
        return readable

    async def _plan(self, readable: list[tuple[Entry, ExecutedResult | RefusedResult]]) -> list[_Planned]:
        """The commits of the longest beginning for which Redis's state suffices."""
        if not readable:
            return []
        wanted = [_keys_of(result) for _, result in readable]
        states = await self._store.booking_states(wanted)
        chain, planned = BookingChain(), []
        for (entry, result), keys, read in zip(readable, wanted, states, strict=True):
            if read is None:
                break
            state = chain.state(keys, read)
            plan: BookingPlan | None = None
            if isinstance(result, RefusedResult):
                commit = plan_release(entry, result, state, mark_ttl_ms=self._mark_ttl_ms)
            else:
                outcome = self._booking(entry, result, state)
                if not isinstance(outcome, BookingPlan):
                    break
                plan, commit = outcome, outcome.commit
            chain.add(commit, state)
            planned.append(_Planned(entry, result, plan, commit))
        return planned

    def _booking(self, entry: Entry, result: ExecutedResult, state: BookingState) -> object:
        contained = self._contained.known(entry, result, state)
        if contained is None:
            return None
        return plan_booking(
            entry,
            result,
            state,
            hedge_mode=self._hedge_mode(),
            contained=contained,
            now_sec=self._now_sec(),
            mark_ttl_ms=self._mark_ttl_ms,
        )


def _keys_of(result: ExecutedResult | RefusedResult) -> BookingKeys:
    if isinstance(result, RefusedResult):
        return BookingKeys(result.symbol or "", result.plan_id, ())
    order_ids = tuple(dict.fromkeys(order.order_id for order in result.orders))
    return BookingKeys(result.symbol, result.plan_id, order_ids)


_LEDGER_FIELDS = frozenset(StoredLedger.__struct_fields__)


class BookingChain:
    """What Redis will hold once the bookings planned so far are written.

    A prediction, and no more: each commit compares what it rests on with what is stored, so that a wrong one
    books nothing.
    """

    def __init__(self) -> None:
        self._ledgers: dict[str, tuple[StoredLedger, str | None]] = {}
        self._orders: dict[tuple[str, str], str] = {}
        self._permits: dict[tuple[str, str], str | None] = {}
        self._marks: dict[str, str] = {}

    def state(self, keys: BookingKeys, read: BookingState) -> BookingState:
        """`read`, which was read before any of the chain's bookings, as it will be after them."""
        symbol, plan_id, order_ids = keys
        ledger, version = self._ledgers.get(symbol, (read.ledger, read.version))
        orders = dict(read.orders)
        for order_id in order_ids:
            if (memory := self._orders.get((symbol, order_id))) is not None:
                orders[order_id] = memory
        return msgspec.structs.replace(
            read,
            ledger=ledger,
            version=version,
            orders=orders,
            permit=self._permits.get((symbol, plan_id), read.permit),
            plan_mark=self._marks.get(plan_id, read.plan_mark),
        )

    def add(self, commit: ResultCommit, rests_on: BookingState) -> None:
        """`commit` is written next; `rests_on` is the state that it was planned on."""
        symbol, plan_id = commit.symbol, commit.plan_id
        fields = dict(zip(commit.ledger_fields[::2], commit.ledger_fields[1::2], strict=True))
        if fields:
            known = {name: text for name, text in fields.items() if name in _LEDGER_FIELDS}
            ledger = msgspec.structs.replace(rests_on.ledger, **known)
            self._ledgers[symbol] = ledger, fields.get("version", rests_on.version)
        for order in commit.orders:
            self._orders[symbol, order.order_id] = order.after
        if commit.permit_after is not None:
            self._permits[symbol, plan_id] = commit.permit_after or None
        if commit.mark_after:
            self._marks[plan_id] = commit.mark_after
