"""The universe of our shadow beside the one that is published: the symbols of both lists."""

from __future__ import annotations

from collections.abc import Iterator

from redis.exceptions import ResponseError

from brain.moment import iso_utc
from brain.symbols.record import UniverseRecord, UnreadableUniverseError, input_of, read_universe_record
from brain.symbols.universe import why_left_out
from brain.symbols.universe_text import StoredList, read_list
from commands.clients.redis_reading import RedisReading, text_of
from commands.compare.options import CompareOptions
from explanation.comparison import Comparison, Pair, Side, Theirs, compared, proven, unknown
from store.keys import UniverseNames

_CHOSEN = "chosen"
#: Lists whose moments are further apart than so many seconds may differ by what happened between them.
_APART_SEC = 300


def compare_universe(redis: RedisReading, _: CompareOptions) -> Comparison:
    """Compare the newest lists. Raises redis.exceptions.RedisError."""
    shadow, acting = (UniverseNames(redis.keys.prefix, shadow=each) for each in (True, False))
    ours, theirs = (_list_of(redis, each) for each in (shadow, acting))
    if ours is None:
        return compared("universe", (), [f"There is no list at {shadow.active}: no shadow runs here."])
    record = _last_record(redis, shadow)
    meta = _meta(redis, acting)
    pairs = _pairs(ours, theirs, record, meta.get("error", ""))
    return compared("universe", pairs, _notes(ours, theirs, meta))


def _pairs(
    ours: StoredList, theirs: StoredList | None, record: UniverseRecord | None, error: str
) -> Iterator[Pair]:
    at = iso_utc(round(ours.asof_epoch * 1000))
    chosen = set(ours.symbols)
    others = set() if theirs is None else set(theirs.symbols)
    for symbol in sorted(chosen | others):
        own = Side(True, _CHOSEN) if symbol in chosen else Side(False, _why_left_out(symbol, record))
        answer: Theirs
        if theirs is None:
            answer = unknown(f"no list of another publisher{': ' + error if error else ''}")
        elif symbol in others:
            answer = proven(True, _CHOSEN, "its list")
        else:
            answer = proven(False, "not in its list", "its list")
        yield Pair(id=symbol, symbol="", at=at, ours=own, theirs=answer)


def _why_left_out(symbol: str, record: UniverseRecord | None) -> str:
    """Return the filter that left a symbol out, as the last record of the same filters shows it."""
    if record is None:
        return "not in our list"
    given = input_of(record)
    if given.listing is None:
        return "not in our list"
    listing, rules = given.listing, given.rules
    contract = next((each for each in listing.contracts if each.symbol == symbol), None)
    return why_left_out(contract, rules, listing.volumes, listing.exchange_ms)


def _notes(ours: StoredList, theirs: StoredList | None, meta: dict[str, str]) -> Iterator[str]:
    if theirs is not None and abs(ours.asof_epoch - theirs.asof_epoch) > _APART_SEC:
        apart = abs(ours.asof_epoch - theirs.asof_epoch)
        yield f"The lists are {apart:.0f} s apart: what was listed or delisted between them differs, too."
    if meta.get("stale") == "1":
        yield f"The published list is stale: {meta.get('error') or 'no error given'}."


def _list_of(redis: RedisReading, names: UniverseNames) -> StoredList | None:
    for key in (names.active, names.last_ok):
        try:
            listed = read_list(redis.client.get(key))  # type: ignore[arg-type]
        except ResponseError:
            continue
        if listed is not None:
            return listed
    return None


def _meta(redis: RedisReading, names: UniverseNames) -> dict[str, str]:
    try:
        stored = redis.client.hgetall(names.meta)
    except ResponseError:
        return {}
    return {text_of(name): text_of(value) for name, value in stored.items()}


def _last_record(redis: RedisReading, names: UniverseNames) -> UniverseRecord | None:
    try:
        for _, fields in redis.newest_first(names.audit):
            record = read_universe_record(fields.get(b"record", b""))
            if record.listing is not None:
                return record
    except (ResponseError, UnreadableUniverseError):
        return None
    return None
