"""The reconcile engine's shadow beside the engine that acts: holds of the same symbols."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from brain.json_text import read_json
from commands.clients.redis_reading import RedisReading
from commands.compare.options import CompareOptions, entries_since
from commands.explain.execution_lookup import string_of
from explanation.comparison import Comparison, compared
from explanation.hold_evidence import Episode, HoldOfOthers, HoldSeen, compared_holds, episodes_of
from explanation.timeline import Dated
from store.keys import OWN_HOLD, ExecutorKeys, ReconcileKeys

#: Owners of holds that are no reconcile engine's of another service.
_OWNERS = (OWN_HOLD, "exec:", "operator:")


class _Case(msgspec.Struct):
    hold: bool = False


class _Record(msgspec.Struct):
    symbol: str | None = None
    case: _Case | None = None


_RECORDS = msgspec.json.Decoder(_Record)


def compare_reconcile(redis: RedisReading, options: CompareOptions) -> Comparison:
    """Compare the holds of the shadow. Raises redis.exceptions.RedisError."""
    shadow = ReconcileKeys(redis.keys, shadow=True)
    events = [*options.of_the_time(redis, shadow.events)]
    every = episodes_of(reversed(events))
    episodes = every if options.last is None else every[-options.last :]
    if not events:
        return compared("reconcile", ())
    since_ms = episodes[0].begin_ms if options.last is not None and episodes else events[-1].at_ms
    seen = [*_seen(redis, since_ms)]
    others = [*_by_executor(redis), *_by_operators(redis)]
    holding_now = {each.symbol: reason for each in episodes if (reason := _holding(redis, each)) is not None}
    pairs = compared_holds(episodes, seen, others, holding_now, now_ms=redis.now_ms())
    return compared("reconcile", pairs)


def _seen(redis: RedisReading, since_ms: int) -> Iterator[HoldSeen]:
    """Yield what P3.3's decisions since a time have found, oldest first."""
    for each in reversed([*entries_since(redis, redis.keys.audit, since_ms)]):
        try:
            record = read_json(_RECORDS, each.fields.get("record", ""))
        except (msgspec.DecodeError, ValueError):
            continue
        if record.case is not None and record.symbol:
            yield HoldSeen(record.symbol, each.at_ms, record.case.hold)


def _by_executor(redis: RedisReading) -> Iterator[HoldOfOthers]:
    """Yield the holds of our executor, each until the next step that ends it."""
    begun: dict[str, Dated] = {}
    for each in reversed([*entries_since(redis, ExecutorKeys(redis.keys).audit, None)]):
        symbol, step = each.fields.get("symbol", ""), each.fields.get("step")
        if step == "hold":
            begun.setdefault(symbol, each)
        elif step in ("release", "finish") and symbol in begun:
            yield HoldOfOthers(symbol, begun.pop(symbol).at_ms, each.at_ms)
    yield from (HoldOfOthers(symbol, each.at_ms, None) for symbol, each in begun.items())


def _by_operators(redis: RedisReading) -> Iterator[HoldOfOthers]:
    begun: dict[str, Dated] = {}
    for each in reversed([*entries_since(redis, redis.keys.events, None)]):
        symbol, event = each.fields.get("symbol", ""), each.fields.get("event")
        if not each.fields.get("by"):
            continue
        if event == "HOLD_SET":
            begun.setdefault(symbol, each)
        elif event == "HOLD_CLEARED" and symbol in begun:
            yield HoldOfOthers(symbol, begun.pop(symbol).at_ms, each.at_ms)
    yield from (HoldOfOthers(symbol, each.at_ms, None) for symbol, each in begun.items())


def _holding(redis: RedisReading, episode: Episode) -> str | None:
    """Return the reason of a hold of another engine that stands now; None where there is none."""
    keys = ReconcileKeys(redis.keys, shadow=False)
    if string_of(redis, keys.hold(episode.symbol)) is None:
        return None
    if (string_of(redis, keys.hold_sig(episode.symbol)) or "").startswith(_OWNERS):
        return None
    return string_of(redis, keys.hold_reason(episode.symbol)) or ""
