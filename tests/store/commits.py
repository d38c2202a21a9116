"""Decisions and bookings as actors would hand them to the store."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from brain.identifiers import EntryId, FencingToken, OrderId, PlanId, Symbol
from store.keys import GROUP
from store.records import Assumed, CommitReply, DecisionCommit, OrderWrite, ResultCommit, Verdict
from tests.store.backends import KEYS, Backend, Outside
from tests.store.executions import prepare_orders
from tests.store.governor_examples import prepare_grants
from tests.store.intelligence_examples import prepare_counts
from tests.store.reconciled import prepare_case

SYMBOL, PLAN, ENTRY, ORDER = Symbol("BTCUSDT"), PlanId("plan-1"), EntryId("1-0"), OrderId("1001")
ANOTHER, PERMIT = OrderId("1002"), "BOTH|close|SELL|0.028|1760000090000"
NOTHING_STORED = Assumed(False, None, None, None, None, None, None, None, 0, False)

DECISION = DecisionCommit(
    entry_id=ENTRY,
    plan_id=PLAN,
    symbol=SYMBOL,
    assumed=NOTHING_STORED,
    deadline_ms=0,
    mark="D|BOTH|close|SELL|0",
    mark_ttl_ms=3_660_000,
    permit='{"plan_id":"plan-1","allow":true}',
    permit_ttl_ms=60_000,
    reservation="BOTH|close|SELL|0.028",
    reservation_life_ms=90_000,
    audit_fields=("plan_id", "plan-1", "reason", "sanity_checks_passed"),
)
DENIAL = msgspec.structs.replace(
    DECISION, permit='{"plan_id":"plan-1","allow":false}', mark="D|BOTH|none||0", reservation=""
)

BOOKING = ResultCommit(
    entry_id=ENTRY,
    plan_id=PLAN,
    symbol=SYMBOL,
    compare=True,
    before_amounts=(None, None, None),
    before_version=None,
    ledger_fields=("last_known_amt", "0.5", "ledger_amt", "0.5", "version", "1"),
    ledger_ttl_ms=86_400_000,
    orders=(OrderWrite(ORDER, None, "0.5|1760000000000"),),
    permit_before=None,
    permit_after=None,
    revoke_permit=False,
    mark_before=None,
    mark_after="S",
    mark_ttl_ms=3_660_000,
)
#: Rests on the ledger that `prepared` leaves.
OF_ETH = msgspec.structs.replace(
    BOOKING,
    entry_id=EntryId("2-0"),
    plan_id=PlanId("plan-2"),
    symbol=Symbol("ETHUSDT"),
    before_amounts=("1", None, None),
)
DEAD_LETTER = msgspec.structs.replace(
    BOOKING,
    plan_id="",
    symbol="",
    compare=False,
    ledger_fields=(),
    orders=(),
    mark_after="",
    dead_fields=("entry_id", "1-0", "error", "no quantity"),
)


def decision(plan_id: str, entry_id: str, **changes: object) -> DecisionCommit:
    """Return an allowed close of `plan_id`, with `changes`."""
    return msgspec.structs.replace(DECISION, plan_id=plan_id, entry_id=entry_id, **changes)


def booking(entry_id: str, **changes: object) -> ResultCommit:
    """Return a booking of half a contract, with `changes`."""
    return msgspec.structs.replace(BOOKING, entry_id=entry_id, **changes)


def assumed(**changes: object) -> Assumed:
    """Nothing stored, with `changes`."""
    return msgspec.structs.replace(NOTHING_STORED, **changes)


async def commit(backend: Backend, *decisions: DecisionCommit) -> list[Verdict]:
    """Return the verdicts."""
    reply: CommitReply = await backend.store.commit_decisions(backend.fence, decisions)
    return list(reply.verdicts)


async def book(backend: Backend, result: ResultCommit) -> int | None:
    """Return when it was booked, if it was."""
    return await backend.store.commit_result(backend.fence, result)


async def deliver_plans(backend: Backend, *plan_ids: str) -> list[EntryId]:
    """Publish plans and read them: pending now. Their entry ids."""
    await backend.store.plans.create(lost=False)
    ids = [backend.outside.xadd(KEYS.plans, {"plan_id": plan_id, "symbol": SYMBOL}) for plan_id in plan_ids]
    entries = await backend.store.plans.read_new(count=len(ids), block_ms=0)
    assert [entry.id for entry in entries] == ids
    return ids


async def deliver_results(backend: Backend, count: int = 1) -> list[EntryId]:
    """Publish results and read them: pending now. Their entry ids."""
    await backend.store.results.create(lost=False)
    ids = [backend.outside.xadd(KEYS.results, {"plan_id": f"plan-{n}"}) for n in range(count)]
    entries = await backend.store.results.read_new(count=count, block_ms=0)
    assert [entry.id for entry in entries] == ids
    return ids


async def prepared(backend: Backend) -> FencingToken:
    """Return the lease, with something for every write to write to."""
    await prepare_counts(backend)
    await deliver_plans(backend, "plan-1")
    await deliver_results(backend)
    backend.outside.hset(KEYS.ledger("ETHUSDT"), {"last_known_amt": "1"})
    backend.outside.hset(KEYS.snapshot("ETHUSDT"), {"position_amt": "1", "ts_epoch_ms": "1"})
    prepare_orders(backend.outside)
    prepare_grants(backend.outside)
    prepare_case(backend.outside)
    return await backend.take_lease()


def pending_ids(outside: Outside, stream: str) -> Sequence[str]:
    """Return the entries that are pending in the group."""
    return list(outside.xpending(stream, GROUP))
