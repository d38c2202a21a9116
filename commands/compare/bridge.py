"""The intent bridge's shadow beside the bridge that acts: plans of the same intents."""

from __future__ import annotations

from commands.clients.redis_reading import RedisReading
from commands.compare.options import CompareOptions, entries_since, first_ms
from explanation.bridge_evidence import Answered, compared_intents
from explanation.comparison import Comparison, compared
from explanation.intents import BRIDGE
from store.keys import BridgeNames


def compare_bridge(redis: RedisReading, options: CompareOptions) -> Comparison:
    """Compare the answers of the shadow. Raises redis.exceptions.RedisError."""
    shadow = BridgeNames(redis.keys.prefix, shadow=True)
    answers = [Answered(each) for each in options.ours(redis, shadow.audit)]
    if not answers:
        return compared("bridge", ())
    since_ms = min(each.intent_ms for each in answers)
    plans = [
        each
        for each in entries_since(redis, redis.keys.plans, max(since_ms - 1_000, 0))
        if BRIDGE in (each.fields.get("source"), each.fields.get("signature"))
    ]
    begin_ms = first_ms(redis, redis.keys.plans) or 0
    pairs = compared_intents(answers, plans, plans_begin_ms=begin_ms, now_ms=redis.now_ms())
    return compared("bridge", pairs)
