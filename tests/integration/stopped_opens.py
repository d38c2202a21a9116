"""Everything in Redis that stops opens and adds, each alone with the reason that it gives."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from brain.governor.grants import utc_day
from tests.integration.governed_plans import KEYS
from tests.integration.surroundings import SYMBOLS

#: Symbols with positions, as many as may have one; the others are flat.
HELD, FLAT = SYMBOLS[:10], SYMBOLS[10:]
ADDED, OPENED = HELD[2], FLAT[0]
#: Settings under which each condition is the first that strikes.
LIMITS = {
    "GOV_MAX_TOTAL_NOTIONAL_USDT": "1000000",
    "GOV_MAX_NOTIONAL_PER_TRADE_USDT": "10000",
    "GOV_MAX_OPEN_NOTIONAL_PER_DAY_USD": "500000",
    "GOV_DISARM_ON_BURST_BREACH": "false",
}

Write = Callable[[Any, int], object]


class Condition(msgspec.Struct, frozen=True):
    """What is written into Redis, and by which reason it stops an open or add; closes are as they are.

    `write` gets the client and Redis's clock (ms).
    """

    name: str
    write: Write
    stops: str
    symbol: str = ADDED
    plan: Mapping[str, str] = {}
    close: Mapping[str, str] = {}


def texts(**written: str) -> Write:
    """Return what sets keys below the prefix; `__` stands for a colon."""

    def write(redis: Any, _: int) -> None:
        for name, text in written.items():
            redis.set(f"quantum:{name.replace('__', ':')}", text)

    return write


def lists(*names: str) -> Write:
    """Return what writes a list in the place of each of these keys."""

    def write(redis: Any, _: int) -> None:
        for name in names:
            redis.delete(name)
            redis.rpush(name, "x")

    return write


def granted_before(number: int, ago_ms: int) -> Write:
    """Return what writes so many grants of the past."""

    def write(redis: Any, now_ms: int) -> None:
        key = KEYS.window(ADDED)
        redis.zadd(key, {f"past-{each}": now_ms - ago_ms - each for each in range(number)})

    return write


def reserved(redis: Any, now_ms: int) -> None:
    """Reserve the account's whole notional."""
    grant = {
        "symbol": HELD[0], "kind": "open", "leg": "BOTH", "qty": "1", "notional": "1000000",
        "granted_ms": now_ms, "ends_ms": now_ms + 60_000,
    }  # fmt: skip
    redis.hset(KEYS.reserved, "theirs", json.dumps(grant))


def hashed(key: str, **fields: str) -> Write:
    """Return what writes a hash with the time."""
    return lambda redis, now_ms: redis.hset(key, mapping={**fields, "timestamp": now_ms // 1000})


def day_full(redis: Any, now_ms: int) -> None:
    """Open as much as a day may."""
    redis.set(KEYS.opened(ADDED, utc_day(now_ms)), "500000")


def executed_now(redis: Any, now_ms: int) -> None:
    """Execute a plan of the symbol this moment."""
    redis.set(KEYS.last_exec(ADDED), now_ms // 1000)


def nothing(_: Any, __: int) -> None:
    """Write nothing: the plan is enough."""


NEIGHBOURS = (
    "quantum:kill", "quantum:global:kill_switch", "quantum:system:mode", *KEYS.guards,
    *(f"quantum:{base}:{symbol}" for symbol in HELD for base in (
        "portfolio:budget", "allocation:target", "capital:efficiency", "churn:blacklist",
    )),
    "quantum:state:portfolio", KEYS.heat,
)  # fmt: skip
COUNTS = tuple(
    name
    for symbol in HELD
    for name in (KEYS.kill_stats(symbol), KEYS.last_exec(symbol), KEYS.executions(symbol))
)
#: Counts that nothing may be opened without.
GRANTS = (KEYS.reserved, KEYS.plans.last_id, *map(KEYS.window, HELD))
GARBAGE = {"entry_n": "many", "entry_mean": "\x00", "exit_n": "-1", "exit_mean": "nan", "exit_ts": "soon"}


def garbage(redis: Any, _: int) -> None:
    """Write statistics that cannot be read."""
    for symbol in HELD:
        redis.delete(KEYS.kill_stats(symbol))
        redis.hset(KEYS.kill_stats(symbol), mapping=GARBAGE)


CONDITIONS = (
    Condition("kill", texts(kill="1"), "kill_switch_active"),
    Condition("global kill switch", texts(global__kill_switch="yes"), "kill_switch_active"),
    Condition("mode", texts(system__mode="LOCKDOWN"), "kill_switch_active"),
    Condition("lockdown", texts(lockdown=""), "kill_switch_active"),
    Condition("reducing", texts(governor__trading_state="REDUCING"), "kill_switch_active"),
    Condition("freeze", texts(churn__global_freeze="1"), "churn_global_freeze"),
    Condition("blacklist", lambda redis, _: redis.set(KEYS.blacklisted(ADDED), "1"), "churn_blacklist"),
    Condition("guard", texts(risk__guard_active__DRAWDOWN="{}"), "risk_guard_drawdown"),
    Condition("cooldown", executed_now, "symbol_cooldown"),
    Condition("hour", granted_before(3, 1_000_000), "hourly_limit_exceeded"),
    Condition("burst", granted_before(2, 100_000), "burst_limit_exceeded"),
    Condition("positions", nothing, "max_positions_reached", OPENED),
    Condition("trade", nothing, "notional_per_trade_exceeded", plan={"qty": "100000"}),
    Condition("total", reserved, "total_notional_exceeded"),
    Condition("leverage", nothing, "leverage_exceeded", plan={"leverage": "50"}, close={"leverage": "50"}),
    Condition(
        "budget", hashed(KEYS.budget(ADDED), mode="enforce", budget_usd="0"), "p28_budget_violation"
    ),
    Condition(
        "target", hashed(KEYS.allocation(ADDED), mode="enforce", target_usd="0"), "p29_allocation_cap"
    ),
    Condition(
        "critical", nothing, "kill_score_critical_open",
        plan={"kill_score": "0.99"}, close={"kill_score": "1"},
    ),
    Condition(
        "unreadable score", nothing, "malformed_plan",
        plan={"kill_score": "high"}, close={"kill_score": "high"},
    ),
    Condition("day", day_full, "daily_limit_exceeded"),
    Condition("neighbours of wrong types", lists(*NEIGHBOURS), "kill_switch_active"),
    Condition("counts of wrong types", lists(*COUNTS), "symbol_cooldown"),
    Condition("grants and windows of wrong types", lists(*GRANTS), "no_portfolio_state"),
    Condition("garbage", garbage, "governor_granted"),
)  # fmt: skip
