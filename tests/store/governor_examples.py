"""Calls of the Governor's store and of the operators' commands, for the tests that count every one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from brain.identifiers import EntryId, FencingToken, PlanId, Symbol
from store.execution_protocol import ServiceStore
from store.governor_records import GovernorReply
from store.notice_records import SeenMark
from store.operator_records import Hold, Republication
from tests.store.backends import KEYS, Outside
from tests.store.executions import EXECUTOR
from tests.store.governed import DISARM, GOVERNOR, SYMBOL, ended, free, granted, reservation

Call = Callable[[ServiceStore, FencingToken], Awaitable[object]]

_HELD = Hold(b"1", b"drift", b"exec:p33-1", 300_000)
SYMBOL_HELD = Symbol("SOLUSDT")
_OLD = PlanId("gov-0")
_RESERVED = reservation(SYMBOL, 1_760_000_000_000)


def prepare_grants(outside: Outside) -> None:
    """Write what the Governor's steps need: a live grant, what is known of the symbol, and a hold."""
    outside.hset(GOVERNOR.reserved, {_OLD: _RESERVED})
    outside.zadd(GOVERNOR.window(SYMBOL), {_OLD: 1_760_000_000_000})
    outside.set(GOVERNOR.version, "v1")
    outside.hset(GOVERNOR.equity, {"equity": "1000", "peak": "1100"})
    outside.hset(GOVERNOR.budget(SYMBOL), {"mode": "enforce", "budget_usd": "500"})
    outside.set(GOVERNOR.frozen, "1")
    outside.set(GOVERNOR.heat, "0.5")
    outside.set(KEYS.hold(SYMBOL_HELD), "1")
    outside.set(EXECUTOR.hold_reason(SYMBOL_HELD), "drift")
    outside.set(EXECUTOR.hold_sig(SYMBOL_HELD), "exec:p33-1")


async def judge(store: ServiceStore, fence: FencingToken) -> GovernorReply:
    """Grant one plan, and disarm; then refuse another, which rests on no state."""
    state = await store.governor_state([SYMBOL])
    first = granted(state, disarm=DISARM, block="{}", events=(("event", "GRANT_EXPIRED"),))
    return await store.judge_plans(fence, [first, free(PlanId("gov-2"))])


async def settle(store: ServiceStore, fence: FencingToken) -> tuple[bool, ...] | None:
    """End the prepared grant, and settle a result that has none."""
    date, event = "2025-10-09", ("event", "GRANT_EXPIRED")
    change = ended(
        _OLD, reservation=_RESERVED, date=date, opened="0", reduced="5", last_exec_sec="1760000000",
        events=(event,), audit=("plan_id", _OLD),
    )  # fmt: skip
    unknown = ended(PlanId("gov-9"), entry_id=EntryId("1-0"), symbol=None, uncount=False)
    return await store.change_grants(fence, ("v1", "v2"), [change, unknown])


#: Each takes a lease; in this order, since a judgement changes the version that a settlement rests on.
WRITES: dict[str, Call] = {
    "change_grants": settle,
    "judge_plans": judge,
    "write_equity": lambda store, fence: store.write_equity(fence, {"equity": "1000.5", "ts": "1"}),
}

#: Without a lease: by the word of an operator.
CHANGES: dict[str, Call] = {
    "set_trading_state": lambda store, _: store.set_trading_state(
        None, "HALTED", ("event", "TRADING_STATE", "reason", "drill")
    ),
    "set_hold": lambda store, _: store.set_hold(
        SYMBOL, None, "drill", "operator:ann", ("event", "HOLD_SET", "symbol", SYMBOL)
    ),
    "mark_seen": lambda store, _: store.mark_seen(
        "case", SYMBOL, SeenMark("ann", 4_000_000_000_000), 1_790_000_000_000, ("event", "NOTICE_SEEN")
    ),
    "lift_hold": lambda store, _: store.lift_hold(SYMBOL_HELD, _HELD, ("event", "HOLD_CLEARED")),
    "republish": lambda store, _: store.republish(
        Republication("apply.result", EntryId("1-0"), ("plan_id", "gov-9"), "by ann")
    ),
    "note_act": lambda store, _: store.note_act(("event", "OPERATOR_ACT")),
}

EXAMPLES: dict[str, Call] = {
    "governor_run": lambda store, _: store.governor_run("another run"),
    "governor_state": lambda store, _: store.governor_state([SYMBOL]),
    "judge_plans": judge,
    "change_grants": settle,
    "stored_equity": lambda store, _: store.stored_equity(),
    "write_equity": WRITES["write_equity"],
    "operator_view": lambda store, _: store.operator_view(SYMBOL_HELD),
    "letter_view": lambda store, _: store.letter_view("apply.result", EntryId("1-0")),
    "seen_notices": lambda store, _: store.seen_notices(),
    **CHANGES,
}
