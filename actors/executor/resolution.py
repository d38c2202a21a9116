"""Follows orders until they are final: by the private stream, by queries, by the proof that there is none."""

from __future__ import annotations

import math

import msgspec
import trio

from actors.executor.live_orders import LiveOrder, RecordWriter
from actors.executor.rules import ExecutorRules
from brain.execution import progress, reasons
from brain.execution.absence import (
    NO_LIST,
    AbsenceEvidence,
    has_vanished,
    is_long_denied,
    missing_evidence,
    query_times_sec,
    settled_ms,
)
from brain.execution.orders import client_order_id
from brain.execution.record import OrderPhase, OrderRecord
from brain.identifiers import PlanId, Symbol
from brain.moment import Moment
from brain.numbers import NotANumberError, parse_decimal, plain
from channels import Conflating, LatestValue, OwnOrderObserved, SnapshotBook, StreamStatus
from clocks.clocks import Clocks
from exchange.errors import AskLater, ExchangeError
from exchange.protocol import OrderEntry
from store.errors import RETRYABLE_ERRORS
from store.execution_protocol import ExecutorStore
from store.execution_records import ExecutionHold
from supervision import Heartbeat

#: The reservation of an order that is known is renewed when this share of a hold's life has passed.
_RENEW_SHARE = 1 / 3
#: A hold is renewed so often, since Redis may lose it, or another's may end (seconds).
_RENEW_SEC = 2.0


def hold_of_unreadable(plan_id: PlanId, symbol: Symbol | None, rules: ExecutorRules) -> ExecutionHold | None:
    """Return the hold for a record that cannot be read, and behind which an order may stand."""
    if not symbol:
        return None
    return ExecutionHold(
        symbol=symbol,
        plan_id=plan_id,
        client_order_id=client_order_id(rules.gate.prefix, plan_id),
        reason=f"execution_unknown:{plan_id}",
        ttl_ms=round(rules.hold_ttl_sec * 1000),
    )


class _Search(msgspec.Struct):
    """Findings of the search for one order."""

    not_found_ms: tuple[int, ...] = ()
    not_listed_ms: int | None = None
    dropped: int = 0
    query_due_sec: float = 0.0


class OrderResolver:
    """Part of the executor: decides what became of orders whose answer says it not, or not yet.

    One that is not final keeps its plan's reservation alive; one of which nothing was seen keeps its symbol
    held, too. Only the four conditions of `brain.execution.absence` together end it as not found.
    """

    def __init__(
        self,
        store: ExecutorStore,
        exchange: OrderEntry,
        writer: RecordWriter,
        *,
        book: SnapshotBook,
        stream: LatestValue[StreamStatus],
        own_orders: Conflating[OwnOrderObserved],
        clocks: Clocks,
        rules: ExecutorRules,
    ) -> None:
        self._store = store
        self._exchange = exchange
        self._writer = writer
        self._book = book
        self._stream = stream
        self._own_orders = own_orders
        self._clocks = clocks
        self._rules = rules

    async def follow(self, live: LiveOrder, heartbeat: Heartbeat) -> None:
        """Write and publish all that becomes known of an order, until it is final."""
        search = _Search(dropped=self._own_orders.dropped)
        times, began_sec = query_times_sec(), trio.current_time()
        search.query_due_sec = began_sec + next(times)
        while True:
            if live.is_undecided:
                await self.keep_hold(live, heartbeat)
            await self.catch_up(live, heartbeat)
            if live.stored.phase.ended:
                if live.behind:
                    continue  # it was seen in the meantime
                return
            await self.keep_hold(live, heartbeat)
            until_sec = min(search.query_due_sec, live.hold_due_sec)
            with heartbeat.idle(), trio.move_on_at(until_sec):
                await live.changed()
            if trio.current_time() < search.query_due_sec or live.behind:
                continue
            while search.query_due_sec <= trio.current_time():
                search.query_due_sec = began_sec + next(times)
            await self._ask(live, search, heartbeat)

    async def catch_up(self, live: LiveOrder, heartbeat: Heartbeat) -> None:
        """Store all that is known of an order; until that is done, what protects it is kept."""
        while live.behind:
            written = trio.Event()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._keep_until, written, live, heartbeat)
                await self._writer.catch_up(live, heartbeat)
                written.set()
        if not live.is_undecided:
            await self._release(live, heartbeat)

    async def _keep_until(self, written: trio.Event, live: LiveOrder, heartbeat: Heartbeat) -> None:
        while True:
            with trio.move_on_after(_RENEW_SEC):
                await written.wait()
            if written.is_set():
                return
            await self.keep_hold(live, heartbeat)

    async def hold(self, live: LiveOrder, heartbeat: Heartbeat) -> None:
        """Hold an undecided order's symbol now, and keep the reservation of any."""
        live.hold_due_sec = 0.0
        await self.keep_hold(live, heartbeat)

    async def keep_hold(self, live: LiveOrder, heartbeat: Heartbeat) -> None:
        """Keep the reservation of an order that is not final, and hold its symbol while it is undecided.

        A hold that stands is kept until the record says more: the step that writes that ends it.
        """
        if trio.current_time() < live.hold_due_sec or live.stored.phase.ended:
            return
        holds = live.is_undecided or live.held
        hold = ExecutionHold(
            symbol=live.stored.symbol,
            plan_id=live.stored.plan_id,
            client_order_id=live.stored.client_order_id,
            reason=f"execution_unknown:{live.stored.plan_id}" if holds else "",
            ttl_ms=round(self._rules.hold_ttl_sec * 1000),
        )
        pause_sec = _RENEW_SEC if holds else self._rules.hold_ttl_sec * _RENEW_SHARE
        # Of several tasks that find it due, one holds.
        live.hold_due_sec = trio.current_time() + pause_sec
        was_held = live.held
        live.held = await self._writer.until_stored(
            lambda fence: self._store.hold_symbol(fence, hold), heartbeat
        )
        if live.held and not was_held:
            await self._writer.audit("hold", live.stored, heartbeat, reason=hold.reason)

    async def _release(self, live: LiveOrder, heartbeat: Heartbeat) -> None:
        """Release what the order's last step left of a hold: one that was renewed at the same time."""
        if not live.held:
            return
        record = live.stored
        await self._writer.until_stored(
            lambda fence: self._store.release_hold(fence, record.symbol, record.client_order_id), heartbeat
        )
        live.held = False
        await self._writer.audit("release", record, heartbeat)

    async def _ask(self, live: LiveOrder, search: _Search, heartbeat: Heartbeat) -> None:
        """Query the order, and, once absence can be proven, look for the rest of the proof."""
        record = live.stored
        sent = self._clocks.now()
        try:
            with heartbeat.waiting_for("the exchange's orders"):
                found = await self._exchange.find_order(record.symbol, record.client_order_id)
                if found is not None:
                    search.not_found_ms, search.not_listed_ms = (), None
                    live.show(found, "query")
                    await self._price(live)
                else:
                    await self._not_found(live, search, sent, heartbeat)
        except AskLater as error:
            search.query_due_sec = max(search.query_due_sec, error.until.monotonic_sec)
            answer = str(error)
        except ExchangeError as error:
            answer = str(error)
        else:
            answer = "-2013" if found is None else found.status.value
        await self._writer.audit(
            "query", record, heartbeat, answer=answer[:200], lacking="; ".join(live.lacking)
        )

    async def _price(self, live: LiveOrder) -> None:
        """Read the average price of a final order, which answers to queries lack."""
        known = live.known
        if known.average_price is not None or not known.phase.ended or known.order_id is None:
            return
        price = await self._exchange.average_price(known.symbol, known.order_id, known.cumulative)
        if price is not None:
            live.learn(msgspec.structs.replace(live.known, average_price=price), "query")

    async def _not_found(self, live: LiveOrder, search: _Search, sent: Moment, heartbeat: Heartbeat) -> None:
        """Take in an answer that there is no such order, to a query sent then."""
        record = live.stored
        if live.known.phase.ended:
            return
        if record.phase is OrderPhase.UNKNOWN and record.error not in ("", reasons.RECOVERING):
            # The exchange has refused the request, and an answer behind that knows no order.
            live.learn(progress.refuse(live.known, record.error), "query")
            return
        asked_ms = self._exchange_at_least_ms(sent)
        settled = settled_ms(record, self._rules.unknown_settle_sec)
        if asked_ms is not None and asked_ms > settled:
            search.not_found_ms = (*search.not_found_ms[:1], asked_ms)
            if progress.was_seen(live.known) and not is_long_denied(search.not_found_ms):
                return
            if search.not_listed_ms is None or search.not_listed_ms <= settled:
                await self._list(live, search)
        evidence = await self._evidence(record, search, settled)
        lacking = missing_evidence(record, evidence, self._rules.unknown_settle_sec)
        if lacking == (NO_LIST,):
            await self._list(live, search)
            evidence = await self._evidence(record, search, settled)
            lacking = missing_evidence(record, evidence, self._rules.unknown_settle_sec)
        if progress.was_seen(live.known):
            if not lacking and has_vanished(evidence):
                await self._writer.event(self._vanished(live.known), heartbeat)
                live.learn(progress.vanish(live.known, reasons.ORDER_NOT_FOUND), "query")
            return
        live.lacking = lacking
        if not lacking and live.is_undecided:
            live.learn(progress.refuse(live.known, record.error or reasons.ORDER_NOT_FOUND), "query")

    def _vanished(self, record: OrderRecord) -> dict[str, str]:
        return {
            "event": "ORDER_VANISHED",
            "symbol": record.symbol,
            "ts": str(self._clocks.redis_now_ms() // 1000),
            "plan_id": record.plan_id,
            "client_order_id": record.client_order_id,
            "order_id": record.order_id or "",
            "filled_qty": plain(record.cumulative),
        }

    async def _evidence(self, record: OrderRecord, search: _Search, settled: int) -> AbsenceEvidence:
        return AbsenceEvidence(
            now_ms=self._exchange_at_least_ms(self._clocks.now()),
            not_found_ms=search.not_found_ms,
            not_listed_ms=search.not_listed_ms,
            unchanged_ms=await self._unchanged_ms(record),
            stream_since_ms=self._stream_since_ms(search, settled),
        )

    async def _list(self, live: LiveOrder, search: _Search) -> None:
        """Look for the order among all of its symbol since the request."""
        record = live.stored
        asked_ms = self._exchange_at_least_ms(self._clocks.now())
        orders = await self._exchange.orders_since(record.symbol, record.timestamp_ms)
        for order in orders:
            if order.client_order_id == record.client_order_id:
                search.not_found_ms, search.not_listed_ms = (), None
                live.show(order, "query")
                return
        search.not_listed_ms = asked_ms

    async def _unchanged_ms(self, record: OrderRecord) -> int | None:
        """Return when the position was last known to be what the ledger says; None where it is not.

        The ledger has all fills whose results are booked; a difference of any kind proves nothing.
        """
        snapshot = self._book.get(record.symbol)
        if snapshot is None or not self._book.is_trusted(snapshot):
            return None
        try:
            text = (await self._store.ledger_amounts([record.symbol])).get(record.symbol)
            ledger = None if text is None else parse_decimal(text)
        except (NotANumberError, *RETRYABLE_ERRORS):
            return None
        return self._exchange_at_least_ms(snapshot.verified_at) if ledger == snapshot.amount else None

    def _stream_since_ms(self, search: _Search, settled: int) -> int | None:
        """Return when the stream's session began that has proven itself behind the settle time."""
        status = self._stream.value
        if status is None or status.connected_since is None or status.proven_as_of is None:
            return None
        proven_ms = self._exchange_at_least_ms(status.proven_as_of)
        if proven_ms is None or proven_ms <= settled or search.dropped != self._own_orders.dropped:
            return None
        return self._clocks.exchange.latest_date_ms(status.connected_since)

    def _exchange_at_least_ms(self, at: Moment) -> int | None:
        """Return the earliest time that the exchange's clock can have shown at `at`; None: unknown."""
        now = self._clocks.now()
        lead_ms = self._clocks.exchange.at_least_ms(now)
        # By the monotonic clock: the wall clock may have been set since.
        return None if lead_ms is None else now.wall_ms + lead_ms - math.ceil(at.age_sec(now) * 1000)
