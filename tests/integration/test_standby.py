"""Two instances: one decides, the other stands by and takes over."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgspec
import pytest
import trio

from monitoring.firing import STARTING_SEC
from tests.integration.daemon_process import DaemonProcess
from tests.integration.pipeline import PLANS, RESULTS, entry
from tests.integration.site import Site
from tests.integration.surroundings import SYMBOLS, is_ready, is_unready
from tests.integration.waiting import until_async

TAKEOVER_SEC = 3.0


class Pair(msgspec.Struct, frozen=True):
    """An instance that holds the lease, and one that stands by."""

    first: DaemonProcess
    second: DaemonProcess
    first_url: str
    second_url: str


@pytest.fixture
async def pair(site: Site) -> AsyncIterator[Pair]:
    async with site.daemon() as first:
        first_url = await first.ready()
        async with site.daemon({"P33_INSTANCE": "second"}) as second:
            second_url = await second.url()
            await is_unready(second_url, "standing by", "first")
            yield Pair(first, second, first_url, second_url)


async def test_a_standby_takes_over_within_three_seconds_and_answers_what_was_left(
    site: Site, pair: Pair
) -> None:
    answer = await site.ask("before", entry("BTCUSDT", "0.01"))
    assert answer["issued_by"].endswith(" first")

    # Stopped, it is given entries which it never answers.
    pair.first.process.send_signal(signal.SIGSTOP)
    for symbol in SYMBOLS:
        site.publish_plan(f"left-{symbol}", entry(symbol, "20"))
    site.fill("e", "ETHUSDT", "BUY", "0.5")
    pair.first.process.kill()
    killed_sec = trio.current_time()
    await is_ready(lambda: pair.second_url, within_sec=TAKEOVER_SEC)
    answer = await site.ask("after", entry("LTCUSDT", "1"))
    assert answer["issued_by"].endswith(" second")
    assert trio.current_time() - killed_sec < TAKEOVER_SEC
    await site.decided_once(["before", "after", *(f"left-{symbol}" for symbol in SYMBOLS)])
    await site.ledger_reaches("ETHUSDT", "0.5")
    await site.nothing_pends(PLANS, RESULTS)


async def test_an_instance_that_was_stopped_and_goes_on_after_losing_the_lease_writes_nothing_more(
    pair: Pair, site: Site
) -> None:
    pair.first.process.send_signal(signal.SIGSTOP)
    await is_ready(lambda: pair.second_url)
    pair.first.process.send_signal(signal.SIGCONT)
    for symbol in SYMBOLS:
        answer = await site.ask(f"plan-{symbol}", entry(symbol, "20"))
        assert answer["issued_by"].endswith(" second")
    await is_unready(pair.first_url, "standing by", "second")
    await site.nothing_pends(PLANS)
    assert "Actor failed" not in pair.first.output + pair.second.output


async def test_nobody_is_notified_of_a_standby_in_order(pair: Pair) -> None:
    async with httpx.AsyncClient(base_url=pair.second_url, trust_env=False) as client:
        shown: dict[str, Any] = {}

        async def started_long_ago() -> bool:
            shown.update((await client.get("/status")).json())
            return float(shown["uptime_sec"]) > STARTING_SEC + 1

        await until_async(started_long_ago, "a service that does not start any more", STARTING_SEC + 5)
    assert [reason.partition(" ")[0] for reason in shown["reasons"]] == ["waiting", "standing", "the"]
    assert shown["notices"] == []


async def test_a_clean_stop_hands_over_at_once(pair: Pair, site: Site) -> None:
    assert await pair.first.stop(signal.SIGTERM) == 0
    await is_ready(lambda: pair.second_url, within_sec=1.5)
    answer = await site.ask("after", entry("BTCUSDT", "0.01"))
    assert answer["reason"] == "open_permit_granted"
