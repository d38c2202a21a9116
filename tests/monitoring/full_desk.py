"""A service in which each part of each page has something to show."""

from __future__ import annotations

import msgspec

from brain.history import MINUTE_MS
from brain.identifiers import EntryId, PlanId, Symbol
from channels import UnknownExecution, WaitingResult
from monitoring.firing import STARTING_SEC
from store.keys import GovernorKeys
from store.notice_records import SeenMark
from tests.brain.cases import case, plan
from tests.monitoring.acting_desk import TOKEN
from tests.monitoring.find_rig import audited
from tests.monitoring.status_rig import NOON_MS, StatusRig
from tests.monitoring.test_bridge_shown import NOW as INTENTS
from tests.monitoring.test_bridge_shown import PLANNED
from tests.monitoring.test_governor_shown import NOW as GOVERNOR
from tests.monitoring.test_intelligence_shown import NOW as RESULTS
from tests.monitoring.test_open_executions import UNDECIDED
from tests.monitoring.test_recent_judgements import point
from tests.monitoring.test_reconcile_shown import case as open_case
from tests.monitoring.test_reconcile_shown import now as reconcile_now
from tests.store.history_examples import a_minute

_ENVIRONMENT = {
    "P33_GOVERNOR": "on",
    "P33_RECONCILE": "on",
    "P33_DECISION_INTELLIGENCE": "on",
    "P33_INTENT_BRIDGE": "on",
    "P33_EXECUTOR": "dry_run",
    "P33_NOTICE_URL": "slack+https://hooks.example/s3Kr1t,json+https://desk.example/x",
}
_MINUTES = 90
#: Ages of snapshots (s) from fresh to stale.
_AGES_SEC = (0.5, 3.0, 5.5, 8.0, 20.0)

#: The pages that only show, with something on each.
PATHS = (
    "/",
    "/decisions",
    "/find?q=plan-0",
    "/find?q=nothing",
    "/plans/plan-0003",
    "/plans/nothing",
    "/explanation?plan=plan-0003",
    "/symbols/BTCUSDT",
    "/history?span=6h",
    "/waiting",
    "/notices",
)


async def full_desk(*names: str, token: str = TOKEN) -> StatusRig:
    """Return a service that stands still. Each of `names` names a plan, a symbol, a source and a reason."""
    rig = StatusRig(token=token, environment=_ENVIRONMENT)
    rig.clock.advance(STARTING_SEC)
    _positions(rig, names)
    _decisions(rig, names)
    _roles(rig, names)
    await _what_waits(rig, names)
    await _history(rig, names)
    await _notices(rig, names)
    return rig


def _positions(rig: StatusRig, names: tuple[str, ...]) -> None:
    for number, age_sec in enumerate(_AGES_SEC):
        rig.publish(f"A{number}USDT", "1", age_sec=age_sec)
    for symbol in ("BTCUSDT", *names):
        rig.publish(symbol, "-0.038", age_sec=2.0)
        rig.redis.hset(rig.keys.ledger(symbol), {"last_known_amt": "-0.030", "version": "12"})
        rig.redis.set(rig.keys.hold(symbol), "1", ttl_ms=300_000)
        rig.redis.set(f"quantum:reconcile:hold_reason:{symbol}", symbol)
        rig.redis.hset(f"quantum:reconcile:state:{symbol}", {"status": "DRIFT", "cause": symbol})
        permits: dict[str | bytes, str | bytes] = {
            "v": "1",
            f"p:{symbol}-3": f"BOTH|close|SELL|0.028|{NOON_MS + 90_000}",
            "p:other": symbol,
        }
        rig.redis.hset(rig.keys.open_permits(symbol), permits)
    rig.monitor.find.look()


def _decisions(rig: StatusRig, names: tuple[str, ...]) -> None:
    for number in range(4):
        plan_id = f"plan-000{number}"
        rig.decided(plan_id, case(plan(plan_id=plan_id), hold=number % 2 == 0))
        audited(rig, plan_id, hold=number % 2 == 0, back_ms=60_000 * (4 - number))
    for name in names:
        rig.decided(name, case(plan(plan_id=name, symbol=name, source=name)), symbol=name)
        audited(rig, name, symbol=name, source=name)
    for name in ("plan-0003", *names):
        result: dict[str | bytes, str | bytes] = {
            "plan_id": name, "symbol": "BTCUSDT", "executed": "true", "order_id": "876", "side": "SELL",
            "filled_qty": "0.028", "reason": name,
        }  # fmt: skip
        rig.redis.xadd(rig.keys.results, result)
        rig.redis.set(rig.keys.permit(name), '{"allow":true}', ttl_ms=60_000)
        rig.redis.set(GovernorKeys(rig.keys, shadow=False).permit(name), '{"granted":true}')


def _roles(rig: StatusRig, names: tuple[str, ...]) -> None:
    channels = rig.channels
    assert channels.governor is not None and channels.reconcile is not None
    assert channels.intelligence is not None and channels.bridge is not None
    assert channels.open_executions is not None
    channels.governor.send(GOVERNOR)
    for number in range(40):
        for name in ("BTCUSDT", *names[:2]):
            scored = point(name, NOON_MS - 5_000 * number)
            rig.monitor.judgements.judged([msgspec.structs.replace(scored, granted=number % 3 > 0, z=0.2)])
    channels.reconcile.send(reconcile_now(*(open_case(name, why=name) for name in ("BTCUSDT", *names))))
    channels.intelligence.send(msgspec.structs.replace(RESULTS, unknown=tuple((name, 2) for name in names)))
    answered = (msgspec.structs.replace(PLANNED, symbol=Symbol(name), plan_id=PlanId(name)) for name in names)
    channels.bridge.send(msgspec.structs.replace(INTENTS, recent=(*INTENTS.recent, *answered)))
    undecided = (
        msgspec.structs.replace(UNDECIDED, plan_id=PlanId(name), symbol=Symbol(name)) for name in names
    )
    channels.open_executions.send((UNDECIDED, *undecided))


async def _what_waits(rig: StatusRig, names: tuple[str, ...]) -> None:
    waiting = (rig.store.plans, rig.keys.plans), (rig.store.results, rig.keys.results)
    for group, key in waiting:
        await group.create(lost=True)
        for name in ("plan-9", *names):
            rig.redis.xadd(key, {"plan_id": name, "symbol": name})
        await group.read_new(count=100, block_ms=0)
    for letters in (rig.keys.dead_plans, rig.keys.dead_results):
        rig.redis.xadd(letters, {"entry_id": "1-0", "error": "no plan_id", "symbol": "ETHUSDT"})
        for name in names:
            rig.redis.xadd(letters, {"entry_id": "1-0", "error": name, name: name})
    ends_sec = rig.clock.now().monotonic_sec + 3600.0
    rig.channels.unknown_executions.send(
        tuple(UnknownExecution(PlanId(each), Symbol(each), NOON_MS, ends_sec) for each in ("plan-8", *names))
    )
    why = "its ledger is missing"
    rig.channels.waiting_results.send(
        tuple(WaitingResult(EntryId("5-0"), Symbol(each), PlanId(each), why) for each in ("plan-7", *names))
    )


async def _history(rig: StatusRig, names: tuple[str, ...]) -> None:
    fence = (await rig.store.hold_lease("here:8045", None, 10**9)).fence
    for ago in range(_MINUTES, 0, -1):
        denied = {"no_position": 1 + ago % 7, "stale_snapshot": ago % 3}
        if names:
            # Each is what was denied most in some minute.
            denied[names[ago % len(names)]] = 20
        await rig.store.write_minute(fence, a_minute(NOON_MS // MINUTE_MS - ago, denied=denied))


async def _notices(rig: StatusRig, names: tuple[str, ...]) -> None:
    now_ms = rig.clock.now().wall_ms
    for name in ("plan-8", *names):
        mark = SeenMark(name, now_ms + 60_000)
        await rig.store.mark_seen("unknown_execution", name, mark, now_ms, ("event", "NOTICE_SEEN"))
    rig.monitor.notices.deliveries[0].trouble = " ".join(("HTTP 500", *names))
