"""Lookup of the traces that the service's own Governor has left of a plan."""

from __future__ import annotations

from redis.exceptions import ResponseError

from brain.identifiers import PlanId
from commands.clients.redis_reading import RedisReading, text_of
from explanation.governing import GovernorTraces
from store.keys import GovernorKeys


def look_for_judgement(
    plan_id: PlanId, published_ms: int | None, redis: RedisReading
) -> GovernorTraces | None:
    """Return the Governor's judgement of a plan, else that of its shadow; None where there is none.

    The audit is read back to the plan's publication, if that is known. Raises redis.exceptions.RedisError.
    """
    for shadow in (False, True):
        keys = GovernorKeys(redis.keys, shadow=shadow)
        found = _judgement(plan_id, keys, published_ms, redis)
        if found is not None:
            return found
    return None


def _judgement(
    plan_id: PlanId, keys: GovernorKeys, published_ms: int | None, redis: RedisReading
) -> GovernorTraces | None:
    wanted = plan_id.encode(errors="surrogateescape")
    try:
        for audit_id, fields in redis.newest_first(keys.audit, since_ms=published_ms):
            if fields.get(b"plan_id") == wanted:
                return GovernorTraces(
                    audit_id,
                    fields.get(b"record", b""),
                    shadow=keys.shadow,
                    permit=None if keys.shadow else _text(redis, keys.permit(plan_id)),
                    grant=_grant(redis, keys, plan_id),
                )
    except ResponseError:
        return None
    return None


def _grant(redis: RedisReading, keys: GovernorKeys, plan_id: PlanId) -> str | None:
    try:
        stored: bytes | None = redis.client.hget(keys.reserved, plan_id)  # type: ignore[assignment]
    except ResponseError:
        return None
    return None if stored is None else text_of(stored)


def _text(redis: RedisReading, key: str) -> str | None:
    try:
        stored: bytes | None = redis.client.get(key)  # type: ignore[assignment]
    except ResponseError:
        return None
    return None if stored is None else text_of(stored)
