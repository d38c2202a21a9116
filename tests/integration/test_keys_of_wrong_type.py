"""The service's own keys overwritten: it waits, names them, and goes on once they are removed."""

from __future__ import annotations

from tests.integration.pipeline import AUDIT, EVENTS, PLANS, RESULTS, Pipeline, entry
from tests.integration.site import Site
from tests.integration.surroundings import SYMBOLS, is_ready, is_unready
from tests.integration.under_fire import restarts
from tests.integration.waiting import until_async

#: What is overwritten while the service runs.
SHARED_KEYS = (
    PLANS, RESULTS, AUDIT, EVENTS, f"{PLANS}.dead", f"{RESULTS}.dead",
    "quantum:p33:lease", "quantum:p33:last_result_id",
)  # fmt: skip
#: What it reads before it does anything.
READ_AT_START = (
    PLANS,
    RESULTS,
    "quantum:p33:fence",
    "quantum:p33:redis_run",
    "quantum:p33:exchange_ban_until_ms",
)
#: Plans stay young until the key is repaired.
PATIENT = {"P33_PLAN_MAX_AGE_SEC": "60"}


def overwrite(pipeline: Pipeline, key: str) -> None:
    """Write a string where a stream belongs, and a list where a string does."""
    pipeline.redis.delete(key)
    if ":p33:" in key:
        pipeline.redis.rpush(key, "x")
    else:
        pipeline.redis.set(key, "x")


async def test_a_key_that_is_overwritten_is_waited_for_and_entries_of_that_time_are_answered(
    site: Site,
) -> None:
    async with site.daemon(PATIENT) as daemon:
        url = await daemon.ready()
        for key, symbol in zip(SHARED_KEYS, SYMBOLS, strict=False):
            overwrite(site, key)
            if key != PLANS:
                site.publish_plan(key, entry(symbol, "20"))
            if key != RESULTS:
                site.fill(key, symbol, "BUY", "20")
            await is_unready(url, "Redis", key)
            site.redis.delete(key)
            await is_ready(lambda: url)
            if key != PLANS:
                await site.permit(key)
            if key != RESULTS:
                await site.ledger_reaches(symbol, "20")
        await site.ask("after", entry(SYMBOLS[-1], "20"))
        await site.nothing_pends(PLANS, RESULTS)
        assert site.dead_letters(PLANS) == site.dead_letters(RESULTS) == []
        assert await restarts(url) == {}


async def test_a_start_on_keys_of_a_wrong_type_names_them_until_all_are_corrected(site: Site) -> None:
    left = set(READ_AT_START)
    for key in left:
        overwrite(site, key)
    async with site.daemon(PATIENT) as daemon:
        url = await daemon.url()

        async def named() -> set[str]:
            shown = await is_unready(url)
            return {key for key in left if any("Redis" in why and key in why for why in shown.reasons)}

        while left:
            found = await until_async(named, f"one of {left} is named")
            site.redis.delete(*found)
            left -= found
        await is_ready(lambda: url)
        answer = await site.ask("after", entry(SYMBOLS[0], "20"))
        assert answer["reason"] == "open_permit_granted"
        assert await restarts(url) == {}
