"""Codec of the executor's records, shared by the real Redis and its in-memory twin.

Operators and other services can write these keys: a record with any other text is unreadable, never guessed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal

import msgspec

from brain.execution.orders import OrderStatus
from brain.execution.record import OrderPhase, OrderRecord
from brain.identifiers import ClientOrderId, EntryId, OrderId, PlanId, Symbol, is_order_id, is_symbol
from brain.numbers import parse_decimal, plain
from brain.plans.permit import Kind
from brain.positions.position import Leg
from store.errors import UnreadableOrderError
from store.execution_records import OrderProgress, PlanRefusal
from store.keys import ExecutorKeys, PlanStream

#: Life of a record.
RECORD_TTL_MS = 604_800_000
#: Life of the record of a plan without an order: more than that of a plan's mark, unless that is set longer.
REFUSAL_TTL_MS = 86_400_000
#: Life of the gate's mark, as the gate's own.
CONSUMED_TTL_MS = 3_600_000
#: Most that the clock of a permit's issuer may be ahead of Redis's, as at the gate.
CLOCK_TOLERANCE_MS = 5_000
#: A value of a wrong type.
WRONG_TYPE = b"!"

_WHOLE = re.compile(r"[0-9]{1,15}")
_ENTRY_ID = re.compile(r"[0-9]{1,15}-[0-9]{1,15}")
_CLIENT_ORDER_ID = re.compile(r"[.A-Z:/a-z0-9_-]{1,36}")
_SIDES = frozenset({"BUY", "SELL"})
#: Kinds that may have no side: a plan of kind none orders nothing, and that of a lost begin is not known.
_SIDELESS = ("", Kind.NONE)
_FLAGS = {"true": True, "false": False}
_NO_STREAM = PlanStream("", "", "", "")


def read_plan_id(stored: bytes) -> PlanId:
    """Return a plan id as it was stored; that of a record is ASCII."""
    return PlanId(stored.decode(errors="backslashreplace"))


def plan_ids(prefixes: tuple[str, ...], changed: Iterable[str]) -> frozenset[str]:
    """Return the plan ids that may be meant by changed keys: the rest behind a prefix, and behind its colons.

    Other issuers' permits are at `<prefix>:permit:<issuer>:<plan_id>`, and a plan id may contain colons.
    """
    found: set[str] = set()
    for key in changed:
        for prefix in prefixes:
            rest = key[len(prefix) :] if key.startswith(prefix) else ""
            while rest:
                found.add(rest)
                rest = rest.partition(":")[2]
    return frozenset(found)


def encode_record(record: OrderRecord) -> tuple[str, ...]:
    """Return a record's fields as flat names and values, as they are stored."""
    published, average = record.published_cumulative, record.average_price
    return (
        "state", record.phase,
        "symbol", record.symbol,
        "side", record.side,
        "position_side", record.leg,
        "kind", record.kind,
        "quantity", plain(record.quantity),
        "reduce_only", "true" if record.reduce_only else "false",
        "client_order_id", record.client_order_id,
        "timestamp_ms", str(record.timestamp_ms),
        "recv_window_ms", str(record.recv_window_ms),
        "order_id", record.order_id or "",
        "status", record.status,
        "cumulative", plain(record.cumulative),
        "avg_price", "" if average is None else plain(average),
        "published_cumulative", "" if published is None else plain(published),
        "error", record.error,
        "decision", record.decision,
        "action", record.action,
        "source", record.source,
        "instance", record.instance,
        "stream", record.stream,
        "entry_id", record.entry_id,
        "version", str(record.version),
    )  # fmt: skip


def encode_refusal(refusal: PlanRefusal) -> tuple[str, ...]:
    """Return the fields of the record of a plan without an order; empty ones are left out."""
    fields = (
        ("state", OrderPhase.FINAL),
        ("symbol", refusal.symbol),
        ("error", refusal.error),
        ("decision", refusal.decision),
        ("action", refusal.action),
        ("source", refusal.source),
        ("instance", refusal.instance),
        ("stream", refusal.stream),
        ("entry_id", refusal.entry_id),
        ("version", "1"),
    )
    return tuple(text for field in fields if field[1] for text in field)


def decode_record(keys: ExecutorKeys, plan_id: PlanId, stored: Mapping[bytes, bytes]) -> OrderRecord:
    """Parse a stored record. Raises UnreadableOrderError, with the field."""
    fields = _Fields(plan_id, stored)
    stream = fields.one_of("stream", ("", keys.plans.key, keys.manual_plans.key))
    record = OrderRecord(
        plan_id=plan_id,
        phase=OrderPhase(fields.one_of("state", OrderPhase)),
        symbol=Symbol(fields.text("symbol")),
        side="",
        leg=Leg.BOTH,
        kind="",
        quantity=Decimal(0),
        reduce_only=False,
        client_order_id=ClientOrderId(""),
        timestamp_ms=0,
        recv_window_ms=0,
        decision=fields.text("decision"),
        action=fields.text("action"),
        source=fields.text("source"),
        instance=fields.text("instance"),
        stream=stream,
        entry_id=EntryId(
            fields.matching("entry_id", _ENTRY_ID) if stream else fields.one_of("entry_id", [""])
        ),
        error=fields.text("error"),
        version=int(fields.matching("version", _WHOLE)),
    )
    if record.phase is OrderPhase.FINAL and b"client_order_id" not in stored:
        return record
    return _with_order(record, fields)


def _with_order(record: OrderRecord, fields: _Fields) -> OrderRecord:
    order_id = fields.text("order_id")
    if not is_symbol(record.symbol):
        raise fields.unreadable("symbol")
    if order_id and not is_order_id(order_id):
        raise fields.unreadable("order_id")
    return msgspec.structs.replace(
        record,
        side=fields.one_of("side", (*_SIDES, "") if fields.text("kind") in _SIDELESS else _SIDES),
        leg=Leg(fields.one_of("position_side", Leg)),
        kind=fields.one_of("kind", ("", *Kind)),
        quantity=fields.quantity("quantity"),
        reduce_only=_FLAGS[fields.one_of("reduce_only", _FLAGS)],
        client_order_id=ClientOrderId(fields.matching("client_order_id", _CLIENT_ORDER_ID)),
        timestamp_ms=int(fields.matching("timestamp_ms", _WHOLE)),
        recv_window_ms=int(fields.matching("recv_window_ms", _WHOLE)),
        order_id=OrderId(order_id) if order_id else None,
        status=fields.one_of("status", ("", *OrderStatus)),
        cumulative=fields.quantity("cumulative"),
        average_price=fields.quantity("avg_price") if fields.text("avg_price") else None,
        published_cumulative=(
            fields.quantity("published_cumulative") if fields.text("published_cumulative") else None
        ),
    )


class FinishedOrder(msgspec.Struct, frozen=True, array_like=True):
    """Arguments of `finish_order.lua`: the next version of a record, or a plan's only one (`before` 0).

    `client_order_id` is empty for a plan without an order. `releases`: the order's hold ends, or passes to
    the order of the heir.
    """

    plan_id: PlanId
    symbol: str
    before: int
    ended: bool
    score_ms: int
    fields: tuple[str, ...]
    record_ttl_ms: int
    result: tuple[str, ...]
    cooldown: str
    audit: tuple[str, ...]
    stream: str
    group: str
    last_id: str
    entry_id: EntryId
    dead: str
    dead_fields: tuple[str, ...]
    client_order_id: str
    releases: bool
    heir_plan_id: str
    heir_client_order_id: str


def progressed(keys: ExecutorKeys, progress: OrderProgress) -> FinishedOrder:
    """Return the arguments for a record's next version."""
    record, heir = progress.record, progress.heir
    stream = keys.stream(record.stream) if record.stream else _NO_STREAM
    return FinishedOrder(
        plan_id=record.plan_id,
        symbol=record.symbol,
        before=record.version - 1,
        ended=record.phase.ended,
        score_ms=record.timestamp_ms,
        fields=encode_record(record),
        record_ttl_ms=RECORD_TTL_MS,
        result=tuple(progress.result),
        cooldown="" if progress.cooldown_ms is None else str(progress.cooldown_ms),
        audit=tuple(progress.audit),
        stream=stream.key,
        group=stream.group,
        last_id=stream.last_id,
        entry_id=record.entry_id,
        dead=stream.dead,
        dead_fields=(),
        client_order_id=record.client_order_id,
        releases=record.phase in (OrderPhase.WORKING, OrderPhase.FINAL),
        heir_plan_id="" if heir is None else heir.plan_id,
        heir_client_order_id="" if heir is None else heir.client_order_id,
    )


def refused(keys: ExecutorKeys, refusal: PlanRefusal) -> FinishedOrder:
    """Return the arguments for the only version of a plan that ends without an order."""
    stream = keys.stream(refusal.stream)
    return FinishedOrder(
        plan_id=refusal.plan_id,
        symbol=refusal.symbol,
        before=0,
        ended=True,
        score_ms=0,
        fields=encode_refusal(refusal),
        record_ttl_ms=REFUSAL_TTL_MS,
        result=tuple(refusal.result),
        cooldown="",
        audit=tuple(refusal.audit),
        stream=stream.key,
        group=stream.group,
        last_id=stream.last_id,
        entry_id=refusal.entry_id,
        dead=stream.dead,
        dead_fields=tuple(refusal.dead_fields),
        client_order_id="",
        releases=False,
        heir_plan_id="",
        heir_client_order_id="",
    )


class _Fields:
    """Fields of a stored record, as text; a missing one is empty."""

    def __init__(self, plan_id: PlanId, stored: Mapping[bytes, bytes]) -> None:
        self._plan_id = plan_id
        self._stored = stored

    def unreadable(self, name: str) -> UnreadableOrderError:
        value = self._stored.get(name.encode())
        said = "missing" if value is None else repr(value[:80].decode(errors="backslashreplace"))
        error = UnreadableOrderError(f"record of {self._plan_id}: {name} is {said}")
        symbol = self._stored.get(b"symbol", b"").decode(errors="replace")
        error.symbol = Symbol(symbol) if is_symbol(symbol) else None
        return error

    def text(self, name: str) -> str:
        try:
            return self._stored.get(name.encode(), b"").decode()
        except UnicodeDecodeError:
            raise self.unreadable(name) from None

    def one_of(self, name: str, allowed: Iterable[str]) -> str:
        text = self.text(name)
        if text not in tuple(allowed):
            raise self.unreadable(name)
        return text

    def matching(self, name: str, pattern: re.Pattern[str]) -> str:
        text = self.text(name)
        if not pattern.fullmatch(text):
            raise self.unreadable(name)
        return text

    def quantity(self, name: str) -> Decimal:
        try:
            number = parse_decimal(self.text(name))
        except ValueError:
            raise self.unreadable(name) from None
        if number < 0:
            raise self.unreadable(name)
        return number
