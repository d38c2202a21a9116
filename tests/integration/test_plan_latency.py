"""From the published plan to the permit, measured where the Apply Layer waits for it."""

from __future__ import annotations

import itertools
from statistics import median

import pytest
import trio

from simulator import running
from tests.integration.pipeline import entry
from tests.integration.site import Site

pytestmark = pytest.mark.timing

PLANS = 200
REST_LATENCY_MS = 300


async def test_a_permit_comes_within_ten_milliseconds_while_rest_takes_three_hundred(
    redis_server: str,
) -> None:
    async with running(latency_ms=REST_LATENCY_MS) as simulator:
        site = Site(redis_server, simulator)
        symbols = list(site.exchange.listing.symbols.values())
        assert len(symbols) == 569
        async with site.daemon() as daemon:
            await daemon.ready()
            took_ms = []
            for number, symbol in zip(range(PLANS), itertools.cycle(symbols[:40]), strict=False):
                plan_id = f"plan-{number}"
                published_sec = trio.current_time()
                site.publish_plan(plan_id, entry(symbol.name, str(symbol.min_qty)))
                while site.permit_now(plan_id) is None:
                    await trio.sleep(0.0002)
                    assert trio.current_time() - published_sec < 1.2
                took_ms.append((trio.current_time() - published_sec) * 1000)
            assert median(took_ms) < 10
            first = await site.permit("plan-0")
            assert first["reason"] == "open_permit_granted"
