"""SIGKILL, again and again at random moments under load: every plan one decision, every fill booked once."""

from __future__ import annotations

import signal
from random import Random

import pytest
import trio

from tests.integration.site import Site
from tests.integration.trading_load import SETTINGS, TradingLoad

pytestmark = pytest.mark.timing

KILLS = 10
SEED = 1
#: In the first life; with next to none the rest would prove nothing. Later ones may have a backlog to answer.
ALLOWED_AT_FIRST = 50
PATIENCE_SEC = 60.0


async def test_ten_kills_under_load_leave_one_decision_a_plan_and_the_ledger_the_sum_of_the_fills(
    site: Site,
) -> None:
    random = Random(SEED)  # noqa: S311 - the same moments in every run
    load = TradingLoad(site, site.simulator, SEED, plans_per_sec=200, results_per_sec=100)
    async with trio.open_nursery() as nursery:
        for life in range(KILLS):
            async with site.daemon(SETTINGS) as daemon:
                if life == 0:
                    await daemon.ready()
                    nursery.start_soon(load.run)
                    await load.more_is_allowed(ALLOWED_AT_FIRST, PATIENCE_SEC)
                if life % 4 == 3:
                    await trio.sleep(random.uniform(0.0, 1.0))  # it may not have decided anything
                else:
                    await load.more_is_decided(PATIENCE_SEC)
                    await trio.sleep(random.uniform(0.1, 1.3))
                assert await daemon.stop(signal.SIGKILL) == -signal.SIGKILL
        async with site.daemon(SETTINGS) as daemon:
            await load.more_is_decided(PATIENCE_SEC)
            await load.drained()
            assert "Actor failed" not in daemon.output
    load.assert_exactly_once()
    load.assert_rates()
