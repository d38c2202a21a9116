"""Read of the reconcile engine: growth of orders that is booked."""

from __future__ import annotations

from brain.execution.orders import client_order_id
from brain.identifiers import ClientOrderId, OrderId, PlanId
from store.reconcile_records import (
    BookedGrowth,
    RecordedOrder,
)
from store.stored_values import UNREADABLE
from tests.store.backends import KEYS, Backend
from tests.store.executions import EXECUTOR
from tests.store.reconciled import (
    DRIFTED,
    write_record,
)


async def test_order_memory_and_records_are_read_together(leased: Backend) -> None:
    out = leased.outside
    out.hset(KEYS.order_memory(DRIFTED), {"9000": "0.5|1", "8000": "1|1", "7000": b"\xff"})
    write_record(out, "plan-1", "final")
    write_record(out, "plan-2", "orphan", decision="RECONCILE_CLOSE")
    write_record(out, "plan-3", "sending")
    out.delete(EXECUTOR.order("plan-3"))
    clients = [client_order_id("q", PlanId(f"plan-{n}")) for n in (1, 2, 3, 4)]
    found = await leased.store.booked_growth(
        DRIFTED, [OrderId("9000"), OrderId("9001"), OrderId("7000")], [*clients, ClientOrderId("web_1")]
    )
    assert found == BookedGrowth(
        {OrderId("9000"): "0.5|1", OrderId("7000"): UNREADABLE},
        {
            clients[0]: RecordedOrder("final", "EXECUTE"),
            clients[1]: RecordedOrder("orphan", "RECONCILE_CLOSE"),
        },
    )


async def test_memory_and_records_of_a_wrong_type_are_unreadable_and_not_missing(leased: Backend) -> None:
    out = leased.outside
    out.set(KEYS.order_memory(DRIFTED), "1")
    for plan_id in ("plan-1", "plan-2", "plan-3"):
        write_record(out, plan_id, "final")
    clients = [client_order_id("q", PlanId(f"plan-{n}")) for n in (1, 2, 3)]
    out.delete(EXECUTOR.plan_of(clients[0]))
    out.hset(EXECUTOR.plan_of(clients[0]), {"a": "b"})
    out.delete(EXECUTOR.order("plan-2"))
    out.set(EXECUTOR.order("plan-2"), "final")
    out.hdel(EXECUTOR.order("plan-3"), "state")
    unreadable = RecordedOrder(UNREADABLE, UNREADABLE)
    assert await leased.store.booked_growth(DRIFTED, [OrderId("9000")], clients) == BookedGrowth(
        {OrderId("9000"): UNREADABLE},
        dict(zip(clients, (unreadable, unreadable, RecordedOrder(UNREADABLE, "EXECUTE")), strict=True)),
    )
