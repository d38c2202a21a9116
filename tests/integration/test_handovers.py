"""Two instances hand the lease to each other by ordered stops, again and again under load."""

from __future__ import annotations

import signal
from contextlib import AsyncExitStack

import trio

from tests.integration.daemon_process import DaemonProcess
from tests.integration.site import Site
from tests.integration.test_two_instances import is_warm_standby, lease
from tests.integration.trading_load import SETTINGS, TradingLoad

HANDOVERS = 11
SEED = 3
#: For starts and stops under load; how long a stop may take is tested where nothing else runs.
PATIENCE_SEC = 60.0


async def test_eleven_handovers_under_load_leave_one_decision_a_plan_and_the_ledger_the_sum_of_the_fills(
    site: Site,
) -> None:
    load = TradingLoad(site, site.simulator, SEED, plans_per_sec=80, results_per_sec=80)
    output = ""
    async with AsyncExitStack() as processes, trio.open_nursery() as nursery:

        async def started(instance: str) -> DaemonProcess:
            return await processes.enter_async_context(site.daemon(SETTINGS | {"P33_INSTANCE": instance}))

        active, holder = await started("first"), "first"
        await active.ready()
        nursery.start_soon(load.run)
        for _ in range(HANDOVERS):
            other = "second" if holder == "first" else "first"
            standby = await started(other)
            await is_warm_standby(standby, behind=holder, within_sec=PATIENCE_SEC)
            await load.more_is_decided()
            assert await active.stop(signal.SIGTERM, PATIENCE_SEC) == 0
            output += active.output
            active, holder = standby, other
            await load.decided_by(holder, PATIENCE_SEC)
        await load.drained()
        output += active.output

    assert "Actor failed" not in output
    turns = [("first", "second")[turn % 2] for turn in range(HANDOVERS + 1)]
    assert load.issuers() == turns
    assert lease(site)[1] == turns[-1]
    load.assert_exactly_once()
    load.assert_rates()
