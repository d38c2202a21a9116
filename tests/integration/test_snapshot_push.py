"""From the exchange to the snapshot in Redis, without asking."""

from __future__ import annotations

import time
from decimal import Decimal

import trio

from simulator import SimulatedExchange, external_events
from tests.integration.site import Site
from tests.integration.waiting import until

TRIES = 12
#: No audit falls into the test.
QUIET = {
    "P33_STALE_THRESHOLD_SEC": "300",
    "P33_AUDIT_SEC": "200",
    "P33_AUDIT_MAX_AGE_SEC": "250",
    "P33_EXECUTION_GRACE_SEC": "301",
}


def requests_but_for_the_time(exchange: SimulatedExchange) -> int:
    return exchange.requests.total - len(exchange.requests.records(path="/fapi/v1/time"))


async def test_a_changed_position_is_in_its_snapshot_within_fifty_milliseconds_and_without_a_rest_call(
    site: Site,
) -> None:
    exchange = site.exchange
    async with site.daemon(QUIET) as daemon:
        await daemon.ready()
        # A start asks until the stream proves the snapshots; clocks are compared beside it.
        await until(lambda: site.snapshot("BTCUSDT").get("verified_by") == "stream", "a proof")
        asked = requests_but_for_the_time(exchange)
        took_ms = []
        for number in range(1, TRIES + 1):
            target = Decimal(number if number % 2 else -number) / 1000
            moved_sec = trio.current_time()
            moved_ms = time.time_ns() // 1_000_000
            external_events.move_position(exchange, "BTCUSDT", target=target)
            await site.snapshot_reaches("BTCUSDT", f"{target}")
            took_ms.append((trio.current_time() - moved_sec) * 1000)
            shown = site.snapshot("BTCUSDT")
            assert (shown["side"], shown["verified_by"]) == ("LONG" if target > 0 else "SHORT", "stream")
            assert moved_ms - 1000 <= int(shown["ts_epoch_ms"]) <= time.time_ns() // 1_000_000
        assert min(took_ms) < 50
        assert requests_but_for_the_time(exchange) == asked
