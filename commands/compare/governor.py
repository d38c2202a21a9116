"""The Governor's shadow beside the Governor that acts: grants and refusals of the same plans."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence

from brain.moment import iso_utc
from commands.clients.redis_reading import RedisReading, text_of
from commands.compare.options import CompareOptions, entries_since, first_ms
from explanation.comparison import Comparison, Pair, Side, compared
from explanation.governor_evidence import GovernorEvidence, governors_answer
from explanation.timeline import Dated, entry_ms
from store.keys import ExecutorKeys, GovernorKeys

_AT_ONCE = 500
_NOTE = (
    "A shadow counts its own grants and refusals: after a difference its counts are other ones, and the next "
    "judgements of the symbol may differ for that."
)


def compare_governor(redis: RedisReading, options: CompareOptions) -> Comparison:
    """Compare the judgements of the shadow. Raises redis.exceptions.RedisError."""
    ours = list(options.ours(redis, GovernorKeys(redis.keys, shadow=True).audit))
    if not ours:
        return compared("governor", ())
    since_ms = min(_published_ms(each) for each in ours)
    plan_ids = [each.fields.get("plan_id", "") for each in ours]
    keys = GovernorKeys(redis.keys, shadow=False)
    blocks, permits = (texts_by_plan(redis, plan_ids, key_of) for key_of in (keys.block, keys.permit))
    consumed = _consumed(redis, since_ms)
    results = results_by_plan(redis, since_ms)
    begins_ms = first_ms(redis, redis.keys.results)
    pairs = [
        _pair(
            each,
            GovernorEvidence(
                block=blocks.get(plan_id),
                permit=permits.get(plan_id),
                consumed=consumed.get(plan_id),
                results=tuple(results.get(plan_id, ())),
                trimmed=begins_ms is not None and begins_ms > _published_ms(each),
            ),
        )
        for each, plan_id in zip(ours, plan_ids, strict=True)
    ]
    return compared("governor", pairs, [_NOTE] if any(not each.agrees for each in pairs) else ())


def results_by_plan(redis: RedisReading, since_ms: int) -> dict[str, list[Mapping[str, str]]]:
    """Return the results since a time by plan, oldest first. Raises redis.exceptions.RedisError."""
    found: defaultdict[str, list[Mapping[str, str]]] = defaultdict(list)
    for each in entries_since(redis, redis.keys.results, since_ms):
        found[each.fields.get("plan_id", "")].insert(0, each.fields)
    return found


def _pair(ours: Dated, evidence: GovernorEvidence) -> Pair:
    fields = ours.fields
    return Pair(
        id=fields.get("plan_id", ""),
        symbol=fields.get("symbol", ""),
        at=iso_utc(ours.at_ms),
        ours=Side(fields.get("granted") == "true", fields.get("reason", "")),
        theirs=governors_answer(evidence),
    )


def _published_ms(judged: Dated) -> int:
    """Return when the plan was published, else when it was judged."""
    return entry_ms(judged.fields.get("entry_id", "")) or judged.at_ms


def texts_by_plan(
    redis: RedisReading, plan_ids: Sequence[str], key_of: Callable[[str], str]
) -> dict[str, str]:
    """Return the values of the plans' keys that exist as strings. Raises redis.exceptions.RedisError."""
    found: dict[str, str] = {}
    for plan_ids_now in _chunks(plan_ids):
        values = redis.client.mget([key_of(each) for each in plan_ids_now])
        named = zip(plan_ids_now, values, strict=True)
        found.update((each, text_of(value)) for each, value in named if value is not None)
    return found


def _chunks(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    for begin in range(0, len(texts), _AT_ONCE):
        yield texts[begin : begin + _AT_ONCE]


def _consumed(redis: RedisReading, since_ms: int) -> dict[str, str]:
    """Return the Governor's permits that our executor has consumed, by plan."""
    steps = entries_since(redis, ExecutorKeys(redis.keys).audit, since_ms)
    return {
        each.fields.get("plan_id", ""): each.fields["permit:Governor"]
        for each in steps
        if "permit:Governor" in each.fields
    }
