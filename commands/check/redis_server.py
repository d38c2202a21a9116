"""Checks of the Redis server: version, role, append-only file, eviction policy, clock.

A plan is allowed at most once only if Redis keeps every acknowledged write. Sources: Redis, "Persistence",
"Key eviction", INFO.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

from redis.exceptions import RedisError, ResponseError

from clocks.clocks import HARMFUL_SEC
from commands.check.findings import Finding, failed, ok, skipped, warning
from commands.clients.redis_reading import RedisReading
from store.errors import StoreError, WrongRightsError, WrongServerError

_OLDEST_VERSION = (6, 2)
#: A plan's `timestamp` and the cooldown key are other hosts' clocks, and are compared with Redis's.
_SKEW_NOTICED_SEC, _SKEW_HARMFUL_SEC = 0.5, 5.0
_NEARLY_FULL = 0.9
_APPEND_ONLY = "redis append-only"
_EVICTION = "redis eviction"
_NO_SENTINEL = "no Sentinel names the primary"


def reach(redis: RedisReading) -> Finding:
    """Ping Redis; the other checks of it run only if this one passes."""
    name = "redis"
    try:
        redis.client.ping()
        begun_sec = time.perf_counter()
        redis.client.ping()
        took_ms = (time.perf_counter() - begun_sec) * 1000
    except RedisError as error:
        meaning = redis.meaning(error, "PING")
        if isinstance(meaning, WrongRightsError):
            fix = (
                "set REDIS_PASSWORD, or user and password in REDIS_URL; "
                "the user needs the rights of deploy's ACL file"
            )
        elif str(meaning).startswith("LOADING"):
            fix = "wait: it reads its data after a start"
        elif _NO_SENTINEL in str(meaning):
            fix = (
                "let the Sentinels in REDIS_URL answer; their login: sentinel_username there and "
                "REDIS_SENTINEL_PASSWORD"
            )
        elif isinstance(meaning, WrongServerError):
            fix = "REDIS_URL or REDIS_HOST must name the primary, or the Sentinels that know it"
        else:
            fix = "start it (systemctl start redis-server), or say where it is with REDIS_URL or REDIS_HOST"
        return failed(name, f"{redis.address}: {meaning}", fix)
    return ok(name, f"{redis.address} answers in {took_ms:.1f} ms")


def remembered_ban(redis: RedisReading) -> int | None:
    """Return the end of a ban of this address by Binance (this host's wall clock, ms), if Redis has one."""
    try:
        stored: bytes | None = redis.client.get(redis.keys.ban)  # type: ignore[assignment]
        if stored is None or not stored.isdigit():
            return None
        return int(stored) - redis.now_ms() + time.time_ns() // 1_000_000
    except RedisError:
        return None


def server_findings(redis: RedisReading) -> Iterator[Finding]:
    """Yield version, role, append-only file, eviction and clock. Raises redis.exceptions.RedisError."""
    try:
        info: Mapping[str, Any] = redis.client.info("all")
    except RedisError as error:
        meaning = redis.meaning(error, "INFO")
        if not isinstance(meaning, WrongRightsError):
            raise
        yield failed("redis INFO", str(meaning), "the service needs INFO too: give this Redis user +info")
    else:
        yield _version(info)
        yield from _role(info)
        yield _append_only(info, redis)
        yield _eviction(info)
    yield _clock(redis)


def _version(info: Mapping[str, Any]) -> Finding:
    name, version = "redis version", str(info.get("redis_version", "?"))
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    if numbers < _OLDEST_VERSION:
        return failed(
            name,
            f"{version} is older than 6.2, the oldest supported version",
            "upgrade Redis to 6.2 or newer",
        )
    return ok(name, version)


def _role(info: Mapping[str, Any]) -> Iterator[Finding]:
    if info.get("role") != "master":
        primary = f"{info.get('master_host', '?')}:{info.get('master_port', '?')}"
        yield failed(
            "redis role",
            f"a replica of {primary}: it takes no writes",
            "REDIS_URL or REDIS_HOST must name the primary, or the Sentinels that know it",
        )


def _append_only(info: Mapping[str, Any], redis: RedisReading) -> Finding:
    if not info.get("aof_enabled"):
        return failed(
            _APPEND_ONLY,
            "off: after a crash of Redis a plan that was decided can be decided again",
            "redis-cli CONFIG SET appendonly yes, then CONFIG REWRITE (in redis.conf: appendonly yes)",
        )
    broken = [
        name
        for name in ("aof_last_write_status", "aof_last_bgrewrite_status")
        if info.get(name, "ok") != "ok"
    ]
    if broken:
        return failed(
            _APPEND_ONLY,
            f"on, but {', '.join(broken)} is not ok",
            "look at Redis's log and at its free disk space",
        )
    fsync = _appendfsync(redis)
    if fsync == "no":
        return warning(
            _APPEND_ONLY,
            "on, with appendfsync no: a power failure loses what the system had not written yet",
            "redis-cli CONFIG SET appendfsync everysec, then CONFIG REWRITE",
        )
    loss = {"always": "", "everysec": ": a power failure may lose the last second"}.get(fsync, "")
    return ok(_APPEND_ONLY, f"on{f', appendfsync {fsync}' if fsync else ''}{loss}")


def _appendfsync(redis: RedisReading) -> str:
    """Return the setting `appendfsync`; empty where this user may not read it."""
    try:
        answer: Mapping[Any, Any] = redis.client.config_get("appendfsync")
    except ResponseError:
        return ""
    value = next(iter(answer.values()), b"")
    return value.decode() if isinstance(value, bytes) else str(value)


def _eviction(info: Mapping[str, Any]) -> Finding:
    policy, limit = str(info.get("maxmemory_policy", "?")), int(info.get("maxmemory", 0))
    if policy != "noeviction":
        when = "once memory is full" if limit else "as soon as a maxmemory is set"
        return failed(
            _EVICTION,
            f"{policy}: {when} Redis evicts ledgers, open permits and the marks of decided plans",
            "redis-cli CONFIG SET maxmemory-policy noeviction, then CONFIG REWRITE",
        )
    used = int(info.get("used_memory", 0))
    if limit and used > limit * _NEARLY_FULL:
        return warning(
            _EVICTION,
            f"noeviction, and {used / limit:.0%} of maxmemory is used: a full Redis refuses every write",
            "raise maxmemory, or find out what fills it (redis-cli --bigkeys)",
        )
    return ok(
        _EVICTION, f"noeviction, {used / 1e6:.0f} MB used{f' of {limit / 1e6:.0f} MB' if limit else ''}"
    )


def _clock(redis: RedisReading) -> Finding:
    name = "redis clock"
    before_ms = time.time() * 1000
    redis_ms = redis.now_ms()
    after_ms = time.time() * 1000
    ahead_sec = (redis_ms - (before_ms + after_ms) / 2) / 1000
    uncertain_sec = (after_ms - before_ms) / 2000 + 0.001
    return skew_finding(
        name,
        "Redis's clock",
        ahead_sec,
        uncertain_sec,
        "plans' timestamps and cooldowns come from other clocks, and are compared with Redis's",
        harmful_sec=HARMFUL_SEC,
    )


def skew_finding(
    name: str,
    whose: str,
    ahead_sec: float,
    uncertain_sec: float,
    why: str,
    *,
    harmful_sec: float = _SKEW_HARMFUL_SEC,
) -> Finding:
    """Judge a clock that is `ahead_sec` of this host's, within `uncertain_sec`."""
    certain_sec = abs(ahead_sec) - uncertain_sec
    if certain_sec <= _SKEW_NOTICED_SEC:
        return ok(name, f"{whose} and this host's agree within {abs(ahead_sec) + uncertain_sec:.3f} s")
    detail = f"{whose} is {abs(ahead_sec):.3f} s {'ahead of' if ahead_sec > 0 else 'behind'} this host's"
    fix = "synchronise both hosts' clocks (timedatectl set-ntp true; chronyc tracking shows how far off)"
    judged = warning if certain_sec <= harmful_sec else failed
    return judged(name, f"{detail}: {why}", fix)


def not_allowed(name: str, error: StoreError) -> Finding:
    """Return a check that this Redis user may not make, or whose command Redis does not know."""
    return skipped(name, f"this Redis user may not read it: {error}", "check with a Redis user that may")
