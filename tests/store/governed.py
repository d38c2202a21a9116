"""Judgements as the Governor hands them to the store, and the counts that it keeps of them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import msgspec

from brain.identifiers import EntryId, PlanId, Symbol
from store.execution_protocol import ServiceStore
from store.governor_records import (
    Disarm,
    GovernorBasis,
    GovernorCommit,
    GovernorReply,
    GovernorState,
    GrantChange,
    Granted,
)
from store.keys import ExecutorKeys, GovernorKeys
from tests.store.backends import KEYS, Backend

GOVERNOR, SHADOW = GovernorKeys(KEYS, shadow=False), GovernorKeys(KEYS, shadow=True)
TRADING_STATE = ExecutorKeys(KEYS).trading_state
SYMBOL, PLAN = Symbol("BTCUSDT"), PlanId("gov-1")
PERMIT = '{"granted":true}'
HOUR_MS = 3_600_000
DISARM = Disarm("burst_limit_breach", '{"symbol":"BTCUSDT"}')


def date_of(now_ms: int) -> str:
    """Return the UTC date of Redis's clock."""
    return datetime.fromtimestamp(now_ms / 1000, UTC).strftime("%Y-%m-%d")


def basis(state: GovernorState, symbol: Symbol = SYMBOL) -> GovernorBasis:
    """Return the whole state as the basis of a judgement."""
    return GovernorBasis(
        account=state.account,
        grants=len(state.account.reserved) if state.account.countable else -1,
        symbol=state.symbols[symbol],
        window_from_ms=state.now_ms - HOUR_MS,
        date=date_of(state.now_ms),
    )


def reservation(symbol: Symbol, now_ms: int, **changes: Any) -> str:
    """Return the JSON of a live grant, with `changes`."""
    usual = {
        "symbol": symbol, "kind": "open", "leg": "BOTH", "qty": "0.5", "notional": "100",
        "granted_ms": now_ms, "ends_ms": now_ms + 60_000,
    }  # fmt: skip
    return json.dumps(usual | changes, separators=(",", ":"))


def granted(
    state: GovernorState, plan_id: PlanId = PLAN, symbol: Symbol = SYMBOL, **changes: Any
) -> GovernorCommit:
    """Return the grant of an open on `state`, with `changes`."""
    before = state.symbols[symbol].opened or b""
    opened = 100 + (int(before) if before.isdigit() else 0)
    usual = GovernorCommit(
        entry_id=EntryId("1-0"),
        plan_id=plan_id,
        symbol=symbol,
        basis=basis(state, symbol),
        deadline_ms=state.now_ms + 60_000,
        version=f"after-{plan_id}",
        mark="granted",
        mark_ttl_ms=120_000,
        permit_ttl_ms=60_000,
        permit=PERMIT,
        granted=Granted(
            reservation=reservation(symbol, state.now_ms),
            granted_ms=state.now_ms,
            counts=True,
            opened=str(opened),
            last_exec_sec=str(state.now_ms // 1000),
        ),
        stats=("entry", "1", "0.5", "0", str(state.now_ms)),
        audit=("plan_id", plan_id, "granted", "true"),
    )
    return msgspec.structs.replace(usual, **changes)


def refused(
    state: GovernorState, plan_id: PlanId = PLAN, symbol: Symbol = SYMBOL, **changes: Any
) -> GovernorCommit:
    """Return a refusal that rests on `state`, with a denial and a block."""
    usual = granted(
        state, plan_id, symbol, mark="refused", deadline_ms=0, version="", granted=None, stats=(),
        permit='{"granted":false}', block='{"reason":"symbol_cooldown"}',
    )  # fmt: skip
    return msgspec.structs.replace(usual, **changes)


def free(plan_id: PlanId = PLAN, **changes: Any) -> GovernorCommit:
    """Return a refusal that rests on no state."""
    usual = GovernorCommit(
        entry_id=EntryId("1-0"),
        plan_id=plan_id,
        symbol=None,
        basis=None,
        deadline_ms=0,
        version="",
        mark="refused",
        mark_ttl_ms=120_000,
        permit_ttl_ms=60_000,
        permit='{"granted":false}',
        block='{"reason":"malformed_plan"}',
        audit=("plan_id", plan_id, "granted", "false"),
        dead_fields=("error", "evaluation_failed"),
        events=(("event", "KILL_STATS_RESET", "reason", "unreadable"),),
    )
    return msgspec.structs.replace(usual, **changes)


def ended(plan_id: PlanId = PLAN, **changes: Any) -> GrantChange:
    """Return the end of the grant that `granted_now` has written, without a fill."""
    usual = GrantChange(
        entry_id=EntryId(""), plan_id=plan_id, symbol=SYMBOL, reservation="", becomes="", uncount=True
    )
    return msgspec.structs.replace(usual, **changes)


async def state_of(backend: Backend, *symbols: Symbol, by: ServiceStore | None = None) -> GovernorState:
    """Read the state."""
    return await (by or backend.store).governor_state(symbols or (SYMBOL,))


async def judged(
    backend: Backend, *judgements: GovernorCommit, by: ServiceStore | None = None
) -> GovernorReply:
    """Write judgements."""
    return await (by or backend.store).judge_plans(backend.fence, judgements)


async def granted_now(backend: Backend, plan_id: PlanId = PLAN, **changes: Any) -> GovernorState:
    """Grant a plan on the present state; the state behind it."""
    state = await state_of(backend)
    assert (await judged(backend, granted(state, plan_id, **changes))).verdicts == ("committed",)
    return await state_of(backend)


async def deliver(backend: Backend, *plan_ids: str, results: bool = False) -> list[EntryId]:
    """Publish plans or results and read them in the Governor's group: pending now. Their entry ids."""
    group = backend.store.settled_results if results else backend.store.judged_plans
    await group.create(lost=False)
    ids = [backend.outside.xadd(group.stream, {"plan_id": plan_id}) for plan_id in plan_ids]
    entries = await group.read_new(count=len(ids), block_ms=0)
    assert [entry.id for entry in entries] == ids
    return ids
