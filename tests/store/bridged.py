"""Answers to intents, as tests write them."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from brain.identifiers import EntryId, Symbol
from brain.intents.intent import Lane
from store.bridge_records import BridgeBasis, IntentCommit
from store.bridge_values import entry_mark
from store.keys import BridgeNames
from store.protocol import ConsumerGroup
from tests.store.backends import KEYS, Backend

BRIDGE = BridgeNames(KEYS.prefix, shadow=False)
SHADOW = BridgeNames(KEYS.prefix, shadow=True)
SYMBOL = Symbol("BTCUSDT")
INTENT = EntryId("1760000000000-0")
TTL_MS = 86_400_000
FREE = BridgeBasis(None, None)


def planned(entry_id: EntryId = INTENT, *, lane: Lane = Lane.TRADE, **changes: Any) -> IntentCommit:
    """An answer that makes a plan, resting on no state unless `changes` say so."""
    plan_id = changes.pop("plan_id", f"plan-of-{entry_id}")
    commit = IntentCommit(
        entry_id=entry_id,
        symbol=SYMBOL,
        mark=entry_mark(lane, entry_id),
        plan_mark="",
        mark_ttl_ms=TTL_MS,
        basis=None,
        deadline_ms=0,
        plan=("plan_id", plan_id, "symbol", SYMBOL),
        audit=("entry_id", entry_id, "outcome", "plan"),
    )
    return replace(commit, **changes)


def refused(entry_id: EntryId = INTENT, **changes: Any) -> IntentCommit:
    """An answer that makes none."""
    usual = {"plan": (), "audit": ("entry_id", entry_id, "outcome", "refused")}
    return planned(entry_id, **usual | changes)


def group_of(backend: Backend, lane: Lane) -> ConsumerGroup:
    """The group of a lane."""
    store = backend.store
    return {
        Lane.TRADE: store.trade_intents,
        Lane.EXIT: store.exit_intents,
        Lane.HARVEST: store.harvest_intents,
    }[lane]


async def deliver(backend: Backend, count: int = 1, lane: Lane = Lane.TRADE) -> list[EntryId]:
    """Publish intents and have them delivered; their ids."""
    group = group_of(backend, lane)
    await group.create(lost=False)
    for _ in range(count):
        backend.outside.xadd(group.stream, {"symbol": SYMBOL, "side": "BUY", "quantity": "1"})
        await backend.pass_ms(1)
    return [entry.id for entry in await group.read_new(count=count, block_ms=0)]


def plans(backend: Backend) -> list[str]:
    """The ids of all plans that were published."""
    return [fields[b"plan_id"].decode() for _, fields in backend.outside.xrange(KEYS.plans)]


def outcomes(backend: Backend, names: BridgeNames = BRIDGE) -> list[str]:
    """The outcomes of all answers, by the audit."""
    return [fields[b"outcome"].decode() for _, fields in backend.outside.xrange(names.audit)]
