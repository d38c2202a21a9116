"""Checks of the reconcile engine: another one beside it, holds of others, and keys of a wrong type."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from redis.exceptions import ResponseError

from actors.one_player import ACTIVE_SEC
from actors.reconcile_engine.other_engines import another_engine_text
from commands.check.findings import Finding, failed, named, ok, warning
from commands.clients.redis_reading import RedisReading, text_of
from settings import Settings
from store.keys import ReconcileKeys
from store.reconcile_values import others_time_sec

#: Owners of holds that this service's roles and commands set.
_KNOWN_OWNERS = ("p34:", "exec:", "operator:")
_STOP_IT = (
    "stop the other one, or switch this role off: two of them hold and release the same symbols; "
    "P33_TAKE_OVER=true starts beside it all the same"
)
_FOREIGN = (
    "fine while its owner is at work: the engine waits for it; of an owner that is gone, "
    "position-state-brain release SYMBOL --force --reason TEXT"
)
_WRONG_TYPE = "find out who wrote it, and rename it: no case of that symbol is followed until then"


class _Seen(NamedTuple):
    """States: by symbol when another engine wrote it, None for none; and those of a wrong type."""

    others_sec: dict[str, int | None]
    wrong: list[str]


def reconcile_findings(redis: RedisReading, own: Settings) -> Iterator[Finding]:
    """Yield the findings on the reconcile engine. Raises redis.exceptions.RedisError."""
    name = f"role reconcile ({own.reconcile})"
    keys = ReconcileKeys(redis.keys, shadow=own.reconcile == "shadow")
    states = _states(redis, keys)
    wrong = states.wrong
    if (kind := text_of(redis.client.type(keys.events))) not in ("stream", "none"):
        wrong = [*wrong, f"{keys.events} is a {kind}"]
    if wrong:
        yield failed(name, f"of a wrong type: {named(wrong)}", _WRONG_TYPE)
    another = None if keys.shadow else _another(redis, keys, states)
    if another is not None:
        if own.take_over:
            yield warning(name, f"{another}; P33_TAKE_OVER is set", _STOP_IT)
        else:
            yield failed(name, another, _STOP_IT)
    if not wrong and another is None:
        yield ok(name, f"{len(states.others_sec)} symbols have a state, none of another reconcile engine")
    if not keys.shadow and (foreign := _foreign_holds(redis, keys)):
        yield warning("holds of others", f"no case is examined for {named(foreign)}", _FOREIGN)


def _states(redis: RedisReading, keys: ReconcileKeys) -> _Seen:
    begins = keys.state("")
    found = redis.keys_beginning(begins)
    pipeline = redis.client.pipeline(transaction=False)
    for key in found:
        pipeline.hmget(key, ["last_seen_ts", "written_ms"])
    seen = _Seen({}, [])
    for key, answer in zip(found, pipeline.execute(raise_on_error=False), strict=True):
        if isinstance(answer, ResponseError):
            seen.wrong.append(f"{text_of(key)} is no hash")
        elif not isinstance(answer, Exception):
            seen.others_sec[text_of(key).removeprefix(begins)] = others_time_sec(*answer)
    return seen


def _another(redis: RedisReading, keys: ReconcileKeys, states: _Seen) -> str | None:
    """Describe another reconcile engine by a fresh state that this service did not write."""
    now_sec = redis.now_ms() / 1000
    for symbol, others_sec in states.others_sec.items():
        if others_sec is not None and abs(now_sec - others_sec) < ACTIVE_SEC:
            return another_engine_text(keys.state(symbol), now_sec - others_sec)
    return None


def _foreign_holds(redis: RedisReading, keys: ReconcileKeys) -> list[str]:
    """Return the symbols with a hold whose owner is none of this service."""
    begins = keys.hold("")
    symbols = [text_of(key).removeprefix(begins) for key in redis.keys_beginning(begins)]
    pipeline = redis.client.pipeline(transaction=False)
    for symbol in symbols:
        pipeline.get(keys.hold_sig(symbol))
    foreign = []
    for symbol, answer in zip(symbols, pipeline.execute(raise_on_error=False), strict=True):
        owner = text_of(answer) if isinstance(answer, bytes) else ""
        if not owner.startswith(_KNOWN_OWNERS):
            foreign.append(f"{symbol} ({owner or 'no hold_sig'})")
    return foreign
