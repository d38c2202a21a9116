"""Orders as the executor hands them to the store."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from brain.execution.orders import client_order_id
from brain.execution.record import OrderPhase, OrderRecord
from brain.identifiers import ClientOrderId, EntryId, OrderId, PlanId, Symbol
from brain.positions.position import Leg
from store.execution_records import (
    BeginReply,
    ExecutionHold,
    OrderBegin,
    OrderProgress,
    PlanRefusal,
    Switches,
)
from store.execution_values import encode_record
from store.keys import ExecutorKeys
from tests.store.backends import KEYS, Backend, Outside

EXECUTOR = ExecutorKeys(KEYS)
SYMBOL, PLAN, ENTRY, ORDER = Symbol("BTCUSDT"), PlanId("plan-1"), EntryId("1-0"), OrderId("81234")
CLIENT = client_order_id("q", PLAN)
GOVERNOR_KEY, P33_KEY = f"q:permit:{PLAN}", KEYS.permit(PLAN)
GRANT, ALLOW = b'{"granted":true}', b'{"allow":true,"\xff":1}'
NO_SWITCHES = Switches(None, None, None, None, False)
RESULT = ("event_type", "apply.result", "plan_id", PLAN, "executed", "true", "filled_qty", "0.5")
HELD = Symbol("XRPUSDT")
HOLD = ExecutionHold(
    symbol=HELD, plan_id=PLAN, client_order_id=CLIENT, reason=f"execution_unknown:{PLAN}", ttl_ms=300_000
)

RECORD = OrderRecord(
    plan_id=PLAN,
    phase=OrderPhase.SENDING,
    symbol=SYMBOL,
    side="BUY",
    leg=Leg.BOTH,
    kind="open",
    quantity=Decimal("0.500"),
    reduce_only=False,
    client_order_id=CLIENT,
    timestamp_ms=1_760_000_000_500,
    recv_window_ms=3000,
    decision="EXECUTE",
    action="ENTRY_PROPOSED",
    source="intent_bridge",
    instance="first",
    stream=EXECUTOR.plans.key,
    entry_id=ENTRY,
)
REFUSAL = PlanRefusal(
    plan_id=PLAN,
    stream=EXECUTOR.plans.key,
    entry_id=ENTRY,
    result=("plan_id", PLAN, "executed", "false", "error", "permit_timeout (missing: Governor)"),
    error="permit_timeout (missing: Governor)",
    symbol=SYMBOL,
)
ORPHAN = msgspec.structs.replace(
    RECORD, plan_id=PlanId(CLIENT), phase=OrderPhase.ORPHAN, order_id=ORDER, status="FILLED", stream="",
    entry_id=EntryId(""), decision="", action="", source="", kind="",
)  # fmt: skip
EVENT = ("event", "ORPHAN_ORDER", "symbol", SYMBOL)
ORPHANS_HOLD = msgspec.structs.replace(HOLD, plan_id=ORPHAN.plan_id, symbol=SYMBOL, reason="orphan_order")


def record(**changes: object) -> OrderRecord:
    """Return the first record, with `changes`; another plan's order has an id of its own."""
    plan_id = changes.get("plan_id")
    if isinstance(plan_id, str):
        changes = {"client_order_id": client_order_id("q", PlanId(plan_id)), **changes}
    return msgspec.structs.replace(RECORD, **changes)


def progress(version: int, *, result: tuple[str, ...] = (), **changes: object) -> OrderProgress:
    """Return that version of the record, with `changes`; a cooldown where there is a result."""
    after = record(version=version, **changes)
    return OrderProgress(record=after, result=result, cooldown_ms=1_760_000_000_600 if result else None)


def filled(version: int = 2) -> OrderProgress:
    """Return the end of the order, filled."""
    return progress(
        version,
        result=RESULT,
        phase=OrderPhase.FINAL,
        order_id=ORDER,
        status="FILLED",
        cumulative=Decimal("0.5"),
        average_price=Decimal("64000.10"),
        published_cumulative=Decimal("0.5"),
    )


def refusal(**changes: object) -> PlanRefusal:
    """Return the refusal, with `changes`."""
    return msgspec.structs.replace(REFUSAL, **changes)


def _prepared_begin() -> OrderBegin:
    """Return a begin that rests on no clock; its Governor's permit has a key pattern of its own."""
    plan_id = PlanId("g-plan")
    return OrderBegin(
        record=record(plan_id=plan_id, client_order_id=client_order_id("q", plan_id)),
        permits=((f"q:permit:{plan_id}", GRANT, None), (KEYS.permit(plan_id), ALLOW, None)),
        permit_max_age_ms=60_000,
        deadline_ms=9_999_999_999_999,
        published_ms=9_999_999_999_999,
        plan_max_age_ms=60_000,
        ignores_hold=True,
        switches=NO_SWITCHES,
        consumer="executor",
        audit=("step", "begin"),
    )


BEGIN = _prepared_begin()


def prepare_orders(outside: Outside) -> None:
    """Write what the executor's steps need: permits of `BEGIN`, a record that was begun, its hold."""
    for key, text, _ in BEGIN.permits:
        outside.set(key, text, ttl_ms=60_000)
    flat = encode_record(RECORD)
    outside.hset(EXECUTOR.order(PLAN), dict(zip(flat[::2], flat[1::2], strict=True)))
    outside.zadd(EXECUTOR.open, {PLAN: RECORD.timestamp_ms})
    outside.set(KEYS.hold(HELD), "1", ttl_ms=300_000)
    outside.set(EXECUTOR.hold_sig(HELD), f"exec:{CLIENT}", ttl_ms=300_000)
    outside.hset(KEYS.open_permits(HELD), {"v": "d1-0", f"p:{PLAN}": "BOTH|open|BUY|0.5|1760000000000"})


async def begin(backend: Backend, **changes: Any) -> OrderBegin:
    """Return a begin to which nothing speaks against where both permits are there, with `changes`."""
    now_ms = await backend.store.redis_now_ms()
    usual: dict[str, Any] = {
        "record": RECORD,
        "permits": ((GOVERNOR_KEY, GRANT, None), (P33_KEY, ALLOW, now_ms)),
        "permit_max_age_ms": 60_000,
        "deadline_ms": now_ms + 60_000,
        "published_ms": now_ms,
        "plan_max_age_ms": 60_000,
        "ignores_hold": False,
        "switches": NO_SWITCHES,
        "consumer": "executor",
    }
    return OrderBegin(**usual | changes)


def permit(backend: Backend) -> None:
    """Write both permits."""
    backend.outside.set(GOVERNOR_KEY, GRANT, ttl_ms=60_000)
    backend.outside.set(P33_KEY, ALLOW, ttl_ms=60_000)


async def begun(backend: Backend, **changes: Any) -> BeginReply:
    """Begin the order."""
    return await backend.store.begin_order(backend.fence, await begin(backend, **changes))


async def begin_delivered(backend: Backend) -> EntryId:
    """Begin the order of a plan that is pending in the executor's group; the plan's entry."""
    (entry_id,) = await deliver(backend, PLAN)
    permit(backend)
    assert await begun(backend, record=record(entry_id=entry_id)) == BeginReply("begun")
    return entry_id


async def deliver(backend: Backend, *plan_ids: str, manual: bool = False) -> list[EntryId]:
    """Publish plans and read them in the executor's group: pending now. Their entry ids."""
    group = backend.store.manual_plans if manual else backend.store.executions
    await group.create(lost=False)
    ids = [backend.outside.xadd(group.stream, {"plan_id": plan_id}) for plan_id in plan_ids]
    entries = await group.read_new(count=len(ids), block_ms=0)
    assert [entry.id for entry in entries] == ids
    return ids


def other_client(name: str = "another") -> ClientOrderId:
    """Return the client order id of another plan."""
    return client_order_id("q", PlanId(name))
