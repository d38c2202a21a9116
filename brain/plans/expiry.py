"""The age of a plan, by its entry and by its own timestamp."""

from __future__ import annotations

from brain.plans.permit import Details
from brain.plans.plan import Plan


def expiry(
    plan: Plan, *, entry_ms: int | None, now_ms: int, max_age_sec: float, timestamp_limit_sec: float
) -> tuple[bool, Details]:
    """Return True for a plan that is too old, or an old one that was published again, with what was compared.

    The entry's age is taken from Redis's clock (epoch ms), that of `timestamp` from the publisher's. An entry
    of unknown age has expired.
    """
    age_sec = None if entry_ms is None else (now_ms - entry_ms) / 1000
    compared: Details = {"entry_age_sec": age_sec, "limit_sec": max_age_sec}
    expired = age_sec is None or age_sec > max_age_sec
    if plan.timestamp_sec is not None:
        published_ago_sec = now_ms / 1000 - plan.timestamp_sec
        compared["timestamp_age_sec"] = round(published_ago_sec, 3)
        compared["timestamp_limit_sec"] = timestamp_limit_sec
        expired = expired or published_ago_sec > timestamp_limit_sec
    return expired, compared
