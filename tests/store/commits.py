"""Decisions and bookings as actors would hand them to the store."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from brain.identifiers import EntryId, FencingToken, OrderId, PlanId, Symbol
from store.keys import GROUP, Keys
from store.protocol import Store
from store.records import Assumed, CommitReply, DecisionCommit, OrderWrite, ResultCommit, Verdict
from tests.store.backends import Outside

SYMBOL = Symbol("BTCUSDT")
NOTHING_STORED = Assumed(False, None, None, None, None, None, None, None, 0, False)

DECISION = DecisionCommit(
    entry_id=EntryId("1-0"),
    plan_id=PlanId("plan-1"),
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
    entry_id=EntryId("1-0"),
    plan_id=PlanId("plan-1"),
    symbol=SYMBOL,
    compare=True,
    before_amounts=(None, None, None),
    before_version=None,
    ledger_fields=("last_known_amt", "0.5", "ledger_amt", "0.5", "version", "1"),
    ledger_ttl_ms=86_400_000,
    orders=(OrderWrite(OrderId("1001"), None, "0.5|1760000000000"),),
    permit_before=None,
    permit_after=None,
    revoke_permit=False,
    mark_before=None,
    mark_after="S",
    mark_ttl_ms=3_660_000,
)
BURIAL = msgspec.structs.replace(
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


async def commit(store: Store, fence: FencingToken, *decisions: DecisionCommit) -> list[Verdict]:
    """Return the verdicts."""
    reply: CommitReply = await store.commit_decisions(fence, decisions)
    return list(reply.verdicts)


async def deliver_plans(store: Store, outside: Outside, keys: Keys, *plan_ids: str) -> list[EntryId]:
    """Publish plans and read them: pending now. Their entry ids."""
    await store.plans.create(lost=False)
    ids = [outside.xadd(keys.plans, {"plan_id": plan_id, "symbol": SYMBOL}) for plan_id in plan_ids]
    entries = await store.plans.read_new(count=len(ids), block_ms=0)
    assert [entry.id for entry in entries] == ids
    return ids


async def deliver_results(store: Store, outside: Outside, keys: Keys, count: int = 1) -> list[EntryId]:
    """Publish results and read them: pending now. Their entry ids."""
    await store.results.create(lost=False)
    ids = [outside.xadd(keys.results, {"plan_id": f"plan-{n}"}) for n in range(count)]
    entries = await store.results.read_new(count=count, block_ms=0)
    assert [entry.id for entry in entries] == ids
    return ids


def pending_ids(outside: Outside, stream: str) -> Sequence[str]:
    """Return the entries that are pending in the group."""
    return list(outside.xpending(stream, GROUP))
