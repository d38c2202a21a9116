"""Protocol of the executor's store. See `store.protocol` for what all methods share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from brain.execution.record import OrderRecord
from brain.identifiers import ClientOrderId, EntryId, FencingToken, OrderId, PlanId, Symbol
from clocks.clocks import ShowsRedisTime
from store.bridge_protocol import BridgeStore
from store.execution_records import (
    BeginReply,
    ExecutionHold,
    OpenOrders,
    OrderBegin,
    OrderProgress,
    OrphanReply,
    PermitLook,
    PlanRefusal,
)
from store.governor_protocol import GovernorStore
from store.history_protocol import HistoryStore
from store.intelligence_protocol import IntelligenceStore
from store.operator_protocol import OperatorStore
from store.protocol import AddressedStore, ConsumerGroup, Store
from store.reconcile_protocol import ReconcileStore
from store.reconcile_records import BookedGrowth
from store.records import RedisRun
from store.waiting_protocol import WaitingStore


class PermitChanges(Protocol):
    """Changes of permits, pushed by the server on a connection of its own."""

    async def next(self) -> frozenset[str]:
        """Wait for the next change; return the plan ids whose permit or block was written or deleted.

        Other texts may be among them. Empty: any may have changed (the server was emptied). Raises
        StoreUnavailableError when the connection is lost.
        """


class ExecutorStore(AddressedStore, ShowsRedisTime, Protocol):
    """Store of the executor."""

    @property
    def executions(self) -> ConsumerGroup:
        """The group `intent_executor` of `apply.plan`. A new one begins now."""

    @property
    def dry_runs(self) -> ConsumerGroup:
        """The group `intent_executor_shadow` of `apply.plan`: a dry run takes no plan from an executor."""

    @property
    def manual_plans(self) -> ConsumerGroup:
        """The group `intent_executor_manual` of `apply.plan.manual`. A new one begins now."""

    async def execution_run(self, known_run_id: str | None) -> RedisRun:
        """Compare Redis's run with the one that is stored there and with `known_run_id`.

        `begin_order` rests on this comparison, not on that of `PlanStore.redis_run`.
        """

    async def manual_lane_open(self) -> bool:
        """Return True while `manual_lane:enabled` is `1` and expires."""

    def permit_changes(self) -> AbstractAsyncContextManager[PermitChanges]:
        """Open the connection on which the server pushes changes of permits and blocks (RESP3 tracking).

        Raises StoreRefusedError where the server, or a proxy before it, does not push.
        """

    async def look_at_permits(self, plan_id: PlanId, symbol: Symbol, keys: Sequence[str]) -> PermitLook:
        """Read the permits under `keys` and all else that decides on a plan, in one round trip."""

    async def begin_order(self, fence: FencingToken, begin: OrderBegin) -> BeginReply:
        """Consume the permits and write the first record, or nothing at all (`begin_order.lua`).

        Raises StoreUnavailableError where Redis may be another run than `execution_run` compared last.
        """

    async def record_progress(self, fence: FencingToken, progress: OrderProgress) -> bool:
        """Write a record's next version with its result (`finish_order.lua`).

        False, with nothing written, when the stored version is not the one before.
        """

    async def refuse_plan(self, fence: FencingToken, refusal: PlanRefusal) -> bool:
        """End a plan without an order: result, final record and acknowledgement in one step.

        False, with nothing but the acknowledgement, where the plan has a record already.
        """

    async def open_orders(self) -> OpenOrders:
        """Return all records that are not final, and name those that cannot be read."""

    async def order_record(self, plan_id: PlanId) -> OrderRecord | None:
        """Return the record of a plan; None where there is none.

        Raises UnreadableOrderError where it cannot be read: it may be that of an order.
        """

    async def plan_of(self, client_order_id: ClientOrderId) -> PlanId | None:
        """Return the plan id of the record of an order; None where no record is known."""

    async def ledger_amounts(self, symbols: Sequence[str]) -> dict[str, str]:
        """Return `last_known_amt` of the ledgers that exist."""

    async def booked_growth(
        self, symbol: Symbol, order_ids: Sequence[OrderId], client_order_ids: Sequence[ClientOrderId]
    ) -> BookedGrowth:
        """Read what was booked of orders, and the executor's records of client order ids."""

    async def hold_symbol(self, fence: FencingToken, hold: ExecutionHold) -> bool:
        """Set or renew an own hold, and keep the plan's reservation for as long (`hold_execution.lua`).

        False where the hold is another's: that one is left alone, the reservation is kept all the same.
        """

    async def release_hold(self, fence: FencingToken, symbol: Symbol, client_order_id: ClientOrderId) -> bool:
        """Delete the hold of that order; False where the hold is another's or gone."""

    async def record_orphan(
        self, fence: FencingToken, record: OrderRecord, event: Sequence[str], hold: ExecutionHold | None
    ) -> OrphanReply:
        """Write the record of an order that had none, with its event and hold, if any, in one step.

        `hold`: on the record's symbol, for its order. Nothing is written where there is a record, or where
        another holds the symbol.
        """

    async def emit_event(self, fence: FencingToken, fields: Sequence[str]) -> None:
        """Append a reconcile event (flat names and values)."""

    async def append_audit(self, fence: FencingToken, fields: Sequence[str]) -> None:
        """Append a step that changes no record to `executor.audit` (flat names and values)."""

    async def publish_dry_run(
        self, fence: FencingToken, stream: str, entry_id: EntryId, fields: Sequence[str]
    ) -> None:
        """Append to `executor.dry_run`, and acknowledge the plan's entry in the group of `dry_runs`.

        Nothing is appended for an entry that is acknowledged already.
        """

    async def write_counts(self, fence: FencingToken, counts: Mapping[str, int]) -> None:
        """Add to the counts of `metrics:intent_executor`."""


class ServiceStore(
    Store,
    ExecutorStore,
    GovernorStore,
    OperatorStore,
    ReconcileStore,
    BridgeStore,
    IntelligenceStore,
    HistoryStore,
    WaitingStore,
    Protocol,
):
    """All protocols of the store, with those of the other roles."""
