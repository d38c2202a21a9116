"""Cases as the reconcile engine hands them to the store."""

from __future__ import annotations

from typing import Any

import msgspec

from brain.execution.orders import client_order_id
from brain.identifiers import ClientOrderId, OrderId, PlanId, Symbol
from brain.ledger.ledger import StoredLedger
from store.keys import ReconcileKeys
from store.reconcile_records import CaseChange, CloseProposal, HoldChange, LedgerRepair
from store.reconcile_values import TOGETHER_MS
from store.records import OrderWrite
from tests.store.backends import KEYS, Outside
from tests.store.executions import EXECUTOR

ENGINE, SHADOW = ReconcileKeys(KEYS, shadow=False), ReconcileKeys(KEYS, shadow=True)
#: Drifted: the exchange has 0.7 of it, the ledger 0.5.
DRIFTED, BOOKED = Symbol("DOGEUSDT"), OrderId("9001")
#: Agrees again, and is held still.
CLEARED = Symbol("ADAUSDT")
SIG, NEXT_SIG = "p34:0123456789ab", "p34:ba9876543210"
TTL_MS = 300_000
STATE = ("status", "HOLD", "reason", "qty_mismatch", "diff_amt", "0.2")
EVENT = ("event", "HOLD_SET", "symbol", DRIFTED)
LEDGER = StoredLedger(last_known_amt="0.5", last_order_id="9000", last_order_time_epoch="1760000000")
VERSION = "3"

SET_HOLD = HoldChange(before=None, sig=SIG, reason="qty_mismatch", ttl_ms=TTL_MS)
RENEWAL = msgspec.structs.replace(SET_HOLD, before=SIG)
RELEASE = HoldChange(before=SIG, sig="")
HELD_ON = msgspec.structs.replace(RENEWAL, sig=NEXT_SIG, reason="side_mismatch", ttl_ms=TTL_MS // 2)
OPENING = CaseChange(symbol=DRIFTED, hold=SET_HOLD, state=STATE, event=EVENT)
CLOSING = CaseChange(
    symbol=DRIFTED, hold=RELEASE, state=("status", "OK"), event=("event", "HOLD_CLEARED", "symbol", DRIFTED)
)
REPAIR = LedgerRepair(
    symbol=DRIFTED,
    before=LEDGER,
    before_version=VERSION,
    ledger_fields=("last_known_amt", "0.7", "ledger_amt", "0.7", "version", "4", "source", "reconciled"),
    ledger_ttl_ms=86_400_000,
    orders=(OrderWrite(BOOKED, None, "0.2|1760000000000"),),
    hold=RELEASE,
    state=("status", "REPAIRED"),
    events=(("event", "AUTO_REPAIR", "symbol", DRIFTED, "order_ids", BOOKED),),
)
PROPOSAL = CloseProposal(
    symbol=DRIFTED,
    plan_id=PlanId(f"reconclose:{DRIFTED}:0123456789ab:1760000000000"),
    stream=ENGINE.plans,
    bucket=14_666_666,
    cooldown_sec=120,
    sig=SIG,
    hold_ttl_ms=900_000,
    plan=("plan_id", f"reconclose:{DRIFTED}:0123456789ab:1760000000000", "decision", "RECONCILE_CLOSE"),
    event=("event", "DRIFT", "symbol", DRIFTED),
    client_order_id=ClientOrderId("p33-closing"),
)


def repair(**changes: Any) -> LedgerRepair:
    """Return the repair, with `changes`."""
    return msgspec.structs.replace(REPAIR, **changes)


def write_ledger(outside: Outside, **fields: str) -> None:
    """Write the ledger that the repair rests on, with `fields`."""
    stored = msgspec.structs.asdict(LEDGER) | {"version": VERSION, "source": "apply_result"} | fields
    outside.hset(KEYS.ledger(DRIFTED), {name: text for name, text in stored.items() if text is not None})


def write_hold(
    outside: Outside, symbol: Symbol, sig: str | None, *, ttl_ms: int | None = TTL_MS, value: str = "1",
    keys: ReconcileKeys = ENGINE,
) -> None:  # fmt: skip
    """Write a hold as its owner does; without an owner as a service that names none.

    It is written again until owner and hold end together, as those of one step do.
    """
    hold, owner, apart_ms = keys.hold(symbol), keys.hold_sig(symbol), TOGETHER_MS
    while apart_ms >= TOGETHER_MS:
        if sig is not None:
            outside.set(keys.hold_reason(symbol), "drift", ttl_ms=ttl_ms)
            outside.set(owner, sig, ttl_ms=ttl_ms)
        outside.set(hold, value, ttl_ms=ttl_ms)
        apart_ms = 0 if sig is None or ttl_ms is None else abs(outside.pttl(hold) - outside.pttl(owner))


def write_record(outside: Outside, plan_id: str, phase: str, *, decision: str = "EXECUTE") -> str:
    """Write as much of an executor's record as the engine reads; the owner of that order's hold."""
    client_id = client_order_id("q", PlanId(plan_id))
    outside.set(EXECUTOR.plan_of(client_id), plan_id)
    outside.hset(EXECUTOR.order(plan_id), {"state": phase, "decision": decision})
    return f"exec:{client_id}"


def prepare_case(outside: Outside) -> None:
    """Write what the engine's steps need: a ledger, and holds of the engine, one in the shadow."""
    write_ledger(outside)
    write_hold(outside, DRIFTED, SIG)
    write_hold(outside, CLEARED, SIG)
    write_hold(outside, DRIFTED, SIG, keys=SHADOW)
