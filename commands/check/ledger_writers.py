"""Detection of other writers of the ledger.

Signs of one: fields that this service does not write, an order that it never booked, a change without a new
version, or any change while the lease is not held. Not detected: a writer that keeps fields, version and
order memory as this service does, and one that wrote at another time and left no trace.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from redis.exceptions import ResponseError

from commands.check.findings import Finding, failed, named, ok, warning
from commands.clients.redis_reading import RedisReading, text_of

LEDGER_WRITERS = "ledger writers"

_FIELDS = frozenset(
    {
        "last_known_amt", "last_known_side", "ledger_amt", "ledger_side", "last_order_id",
        "last_order_time_epoch", "last_update_ts", "version", "source", "long_amt", "short_amt",
        "adopted_exchange_ms", "adopted_at_ms",
    }
)  # fmt: skip
_SOURCES = frozenset({"apply_result", "adopted", "reconciled"})
_AMOUNTS = ("last_known_amt", "long_amt", "short_amt")
#: Order memory lives for a week after the latest booking.
_REMEMBERED_SEC = 6 * 86_400
_MOST_NAMED = 3

_ONE_WRITER = (
    "switch the other writer off (an executor's own ledger commit): this service counts every fill once; "
    "redis-cli CLIENT LIST shows who is connected"
)
_BY_HAND = "fine if it was corrected by hand; otherwise look for another writer of the ledger"


class LedgersSeen(msgspec.Struct, frozen=True):
    """All ledgers at one moment, by symbol; those that are no hash in `unreadable`."""

    ledgers: Mapping[str, Mapping[str, str]]
    unreadable: tuple[str, ...]
    lease: str | None


def see_ledgers(redis: RedisReading) -> LedgersSeen:
    """Read all ledgers. Raises redis.exceptions.RedisError."""
    begins = redis.keys.ledger("")
    keys = redis.keys_beginning(begins)
    pipeline = redis.client.pipeline(transaction=False)
    for key in keys:
        pipeline.hgetall(key)
    pipeline.get(redis.keys.lease)
    *answers, lease = pipeline.execute(raise_on_error=False)
    ledgers, unreadable = {}, []
    for key, answer in zip(keys, answers, strict=True):
        symbol = text_of(key).removeprefix(begins)
        if isinstance(answer, ResponseError):
            unreadable.append(symbol)
        else:
            ledgers[symbol] = {text_of(name): text_of(value) for name, value in answer.items()}
    return LedgersSeen(ledgers, tuple(unreadable), text_of(lease) if isinstance(lease, bytes) else None)


def changed_without_us(before: LedgersSeen, after: LedgersSeen) -> dict[str, str]:
    """Return the ledgers changed between two reads in a way that this service never does, and how."""
    changes = {}
    lease_not_held = before.lease is None and after.lease is None
    for symbol, old in before.ledgers.items():
        new = after.ledgers.get(symbol, {})
        if not new or all(old.get(name) == new.get(name) for name in _AMOUNTS):
            continue
        if old.get("version") == new.get("version") or lease_not_held:
            changes[symbol] = f"{old.get('last_known_amt')} → {new.get('last_known_amt')}"
    return changes


def ledger_findings(
    redis: RedisReading, seen: LedgersSeen, changes: Mapping[str, str], watched_sec: float
) -> Iterator[Finding]:
    """Yield signs of other writers; `changes` came in `watched_sec`. Raises redis.exceptions.RedisError."""
    findings = [
        *_never_by_us(seen, redis),
        *_changes(changes),
        *_perhaps_by_hand(seen),
    ]
    count = len(seen.ledgers)
    yield from findings or [
        ok(LEDGER_WRITERS, f"{count} ledgers, no sign of another writer (watched for {watched_sec:.1f} s)")
    ]


def _never_by_us(seen: LedgersSeen, redis: RedisReading) -> Iterator[Finding]:
    if seen.unreadable:
        key = redis.keys.ledger(seen.unreadable[0])
        yield failed(
            LEDGER_WRITERS, f"no hash: {named(seen.unreadable)}", f"{_ONE_WRITER}; redis-cli DEL {key}"
        )
    foreign: defaultdict[str, list[str]] = defaultdict(list)
    for symbol, fields in seen.ledgers.items():
        for name in fields.keys() - _FIELDS:
            foreign[name].append(symbol)
        if fields.get("source", "reconciled") not in _SOURCES:
            foreign[f"source={fields['source']}"].append(symbol)
    if foreign:
        shown = "; ".join(
            f"{name} ({named(symbols)})" for name, symbols in sorted(foreign.items())[:_MOST_NAMED]
        )
        yield failed(LEDGER_WRITERS, f"fields that this service does not write: {shown}", _ONE_WRITER)
    if unknown := _orders_never_booked(seen, redis):
        yield failed(
            LEDGER_WRITERS,
            f"last_order_id names an order that was never booked: {named(unknown)}",
            _ONE_WRITER,
        )


def _orders_never_booked(seen: LedgersSeen, redis: RedisReading) -> list[str]:
    since_sec = time.time() - _REMEMBERED_SEC
    recent = [
        (symbol, fields["last_order_id"])
        for symbol, fields in seen.ledgers.items()
        if fields.get("last_order_id") and _seconds(fields.get("last_order_time_epoch")) > since_sec
    ]
    pipeline = redis.client.pipeline(transaction=False)
    for symbol, order_id in recent:
        pipeline.hexists(redis.keys.order_memory(symbol), order_id)
    known = pipeline.execute(raise_on_error=False)
    suspects = [
        symbol for (symbol, _), booked in zip(recent, known, strict=True) if booked is False or booked == 0
    ]
    # A booking between the two reads has replaced the order that was seen.
    return [
        symbol for symbol in suspects if _stored_order(redis, symbol) == seen.ledgers[symbol]["last_order_id"]
    ]


def _stored_order(redis: RedisReading, symbol: str) -> str:
    stored: Any = redis.client.hget(redis.keys.ledger(symbol), "last_order_id")
    return text_of(stored or b"")


def _changes(changes: Mapping[str, str]) -> Iterator[Finding]:
    if changes:
        shown = named([f"{symbol} {change}" for symbol, change in changes.items()])
        yield failed(
            LEDGER_WRITERS,
            f"changed during the check as this service never does: {shown}",
            f"{_ONE_WRITER}; {_BY_HAND}",
        )


def _perhaps_by_hand(seen: LedgersSeen) -> Iterator[Finding]:
    missing = [symbol for symbol, fields in seen.ledgers.items() if "last_known_amt" not in fields]
    if missing:
        yield warning(LEDGER_WRITERS, f"no last_known_amt, which is no ledger: {named(missing)}", _BY_HAND)
    bare = [
        symbol
        for symbol, fields in seen.ledgers.items()
        if "last_known_amt" in fields and not {"version", "source"} <= fields.keys()
    ]
    if bare:
        yield warning(LEDGER_WRITERS, f"no version or source: {named(bare)}", _BY_HAND)
    corrected = [
        symbol
        for symbol, fields in seen.ledgers.items()
        if "ledger_amt" in fields and fields["ledger_amt"] != fields.get("last_known_amt")
    ]
    if corrected:
        yield warning(LEDGER_WRITERS, f"last_known_amt was set past ledger_amt: {named(corrected)}", _BY_HAND)


def _seconds(text: str | None) -> float:
    try:
        return float(text or 0)
    except ValueError:
        return 0.0
