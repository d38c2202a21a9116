"""SIGKILL at random moments under 200 plans a second: one judgement a plan, and the counts of the books."""

from __future__ import annotations

import os
import signal
from decimal import Decimal
from random import Random

import trio

from tests.integration.governed_books import Limits
from tests.integration.governed_load import GovernedLoad
from tests.integration.site import Site

#: A few in the suite; ten with P33_TEST_GOVERNOR_KILLS=10.
KILLS = int(os.environ.get("P33_TEST_GOVERNOR_KILLS", "3"))
SEED = 1
PLANS_PER_SEC = 200
PATIENCE_SEC = 120.0
#: Plans of the time between the lives are judged first, and grants without any word live on behind the last.
DRAINED_WITHIN_SEC = 300.0
#: Reached again and again: most opens are refused by one of them.
LIMITS = Limits(
    per_hour=60, per_5min=40, positions=9, total_notional=Decimal(600), permit_ttl_sec=3, grace_sec=22
)
SETTINGS = {
    "P33_GOVERNOR": "on",
    "P33_WEIGHT_BUDGET_PER_MIN": "2400",
    # Plans of the time between two lives are judged, too, on a busy machine long behind them.
    "P33_PLAN_MAX_AGE_SEC": "600",
    **LIMITS.settings(),
}


async def test_kills_under_load_count_nothing_twice_and_lose_nothing(site: Site) -> None:
    random = Random(SEED)  # noqa: S311 - the same moments in every run
    load = GovernedLoad(site, site.exchange, SEED, limits=LIMITS, plans_per_sec=PLANS_PER_SEC)
    async with trio.open_nursery() as nursery:
        for life in range(KILLS):
            async with site.daemon(SETTINGS) as daemon:
                if life == 0:
                    await load.governor_reads(await daemon.ready())
                    nursery.start_soon(load.run)
                await load.more_is_granted(50, PATIENCE_SEC)
                await trio.sleep(random.uniform(0.0, 1.0))
                assert await daemon.stop(signal.SIGKILL) == -signal.SIGKILL
        async with site.daemon(SETTINGS) as daemon:
            await load.more_is_granted(200, PATIENCE_SEC)
            await load.drained(DRAINED_WITHIN_SEC)
            assert daemon.alive and "Actor failed" not in daemon.output, daemon.output[-2000:]
    reasons = load.assert_counts_agree()
    print(f"{KILLS} kills, {len(load.books.published)} plans: {dict(reasons)}")
    assert len(load.books.grants) >= 50 * KILLS, reasons
    assert reasons["plan_expired"] == 0 < reasons["max_positions_reached"], reasons
