"""Points 3 and 4: the snapshots and ledgers in Redis, as other services read them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from decimal import Decimal

import msgspec
from redis.exceptions import ResponseError

from brain.numbers import ZERO, NotANumberError, parse_decimal
from commands.check.findings import Finding, failed, named, ok, warning
from commands.check.ledger_writers import see_ledgers
from commands.clients.redis_reading import RedisReading, text_of
from page.words import duration

SNAPSHOTS, LEDGER = "3 snapshots fresh", "4 ledger"
#: A result that is being booked leaves both apart for less.
_IN_FLIGHT_SEC = 2.0
_LOOK_SEC = 0.25
_MOST_NAMED = 3
_AMOUNTS = {"position_amt": "last_known_amt", "long_amt": "long_amt", "short_amt": "short_amt"}


class SnapshotsSeen(msgspec.Struct, frozen=True):
    """Snapshot hashes by symbol, and this host's wall clock (epoch ms) when they were read."""

    hashes: Mapping[str, Mapping[str, str]]
    at_ms: float


def see_snapshots(redis: RedisReading) -> SnapshotsSeen:
    """Read all snapshots. Raises redis.exceptions.RedisError."""
    begins = redis.keys.snapshot("")
    keys = redis.keys_beginning(begins)
    pipeline = redis.client.pipeline(transaction=False)
    for key in keys:
        pipeline.hgetall(key)
    at_ms = time.time() * 1000
    hashes = {
        text_of(key).removeprefix(begins): {text_of(name): text_of(value) for name, value in answer.items()}
        for key, answer in zip(keys, pipeline.execute(raise_on_error=False), strict=True)
        if answer and not isinstance(answer, ResponseError)
    }
    return SnapshotsSeen(hashes, at_ms)


def snapshots_fresh(seen: SnapshotsSeen, *, threshold_sec: float) -> Finding:
    """Check that the snapshots are fresh enough for decisions, above all those of open positions."""
    fix = "position-state-brain status: is the stream trusted, and what does the exchange answer?"
    if not seen.hashes:
        return failed(
            SNAPSHOTS,
            "there is none",
            "is this the daemon's Redis and P33_KEY_PREFIX? if so: position-state-brain status",
        )
    ages_sec = {symbol: _age_sec(fields, seen.at_ms) for symbol, fields in seen.hashes.items()}
    unreadable = [symbol for symbol, age_sec in ages_sec.items() if age_sec is None]
    if unreadable:
        return failed(SNAPSHOTS, f"without a time: {named(unreadable)}", "another service writes snapshots")
    known = {symbol: age_sec for symbol, age_sec in ages_sec.items() if age_sec is not None}
    stale = [symbol for symbol, age_sec in known.items() if age_sec > threshold_sec]
    held = [symbol for symbol in stale if _amount(seen.hashes[symbol], "position_amt")]
    detail = f"{len(known)}, the oldest {duration(max(known.values()))} old, limit {duration(threshold_sec)}"
    if held:
        return failed(SNAPSHOTS, f"{detail}; stale with an open position: {named(held)}", fix)
    if len(stale) * 2 > len(known):
        return failed(SNAPSHOTS, f"{detail}; {len(stale)} are stale", fix)
    if min(known.values()) < -1:
        return failed(
            SNAPSHOTS,
            f"{detail}; some are dated in the future",
            "this host's clock and the daemon's differ: timedatectl set-ntp true on both",
        )
    if stale:
        return warning(SNAPSHOTS, f"{detail}; {len(stale)} are stale: {named(stale)}", fix)
    return ok(SNAPSHOTS, detail)


def ledger_agrees(redis: RedisReading, *, tolerance_pct: Decimal) -> Finding:
    """Check that every position has a ledger that agrees with it; read again for 2 s while one differs.

    Raises redis.exceptions.RedisError.
    """
    fix = (
        "the stream reconcile.events shows what moved the exchange; correct by hand what you understand: "
        "HSET <prefix>:position:ledger:<symbol> last_known_amt <amount>"
    )
    deadline_sec = time.monotonic() + _IN_FLIGHT_SEC
    while True:
        snapshots, ledgers = see_snapshots(redis).hashes, see_ledgers(redis).ledgers
        apart = [
            symbol
            for symbol, fields in snapshots.items()
            if not _agree(fields, ledgers.get(symbol, {}), tolerance_pct)
        ]
        apart += [
            symbol
            for symbol, fields in ledgers.items()
            if symbol not in snapshots and _amount(fields, "last_known_amt")
        ]
        if not apart or time.monotonic() > deadline_sec:
            break
        time.sleep(_LOOK_SEC)
    held = sum(bool(_amount(fields, "position_amt")) for fields in snapshots.values())
    detail = f"{len(ledgers)} ledgers, {held} with a position"
    if not ledgers:
        return failed(LEDGER, "there is none", "position-state-brain status: were the first ledgers adopted?")
    if apart:
        shown = "; ".join(
            f"{symbol} exchange {snapshots.get(symbol, {}).get('position_amt', 'none')}, "
            f"ledger {ledgers.get(symbol, {}).get('last_known_amt', 'none')}"
            for symbol in apart[:_MOST_NAMED]
        )
        return failed(LEDGER, f"{detail}; {len(apart)} not as the exchange has it: {shown}", fix)
    return ok(LEDGER, f"{detail}, all as the exchange has it")


def _agree(snapshot: Mapping[str, str], ledger: Mapping[str, str], tolerance_pct: Decimal) -> bool:
    for name, in_ledger in _AMOUNTS.items():
        exchange = _amount(snapshot, name)
        if exchange is None or (name != "position_amt" and in_ledger not in ledger):
            continue
        booked = _amount(ledger, in_ledger)
        if booked is None:
            return exchange == 0 and in_ledger not in ledger
        if abs(exchange - booked) * 100 > tolerance_pct * abs(exchange):
            return False
    return True


def _amount(fields: Mapping[str, str], name: str) -> Decimal | None:
    try:
        return parse_decimal(fields[name]) if name in fields else None
    except NotANumberError:
        return None


def _age_sec(fields: Mapping[str, str], at_ms: float) -> float | None:
    stored = _amount(fields, "ts_epoch_ms") or _amount(fields, "ts_epoch") or ZERO
    if not stored:
        return None
    claimed_ms = float(stored) if "ts_epoch_ms" in fields else float(stored) * 1000
    return (at_ms - claimed_ms) / 1000
