"""From the later permit to the order, and from a plan to the refusal that names the missing permit."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from statistics import median

import msgspec
import pytest
import trio

from simulator.symbols import Symbol, load_symbols
from tests.integration.daemon_process import daemon_process
from tests.integration.exchange_process import exchange_process
from tests.integration.execution_load import opening, usual_symbols
from tests.integration.pipeline import Fields, Pipeline, full_close
from tests.integration.played_governor import PlayedGovernor, id_at_exchange
from tests.integration.relay import relay_to
from tests.integration.surroundings import environment, stream_is_trusted
from tests.integration.waiting import until

pytestmark = pytest.mark.timing

PLANS_PER_SEC, PLANS = 30, 600
SYMBOLS = 60
P50_MS, P99_MS = 3.0, 15.0
WAIT_MS, WAIT_TOLERANCE_MS = 1200, 50
UNGRANTED = 20
_ORDER_ID = re.compile(rb"POST /fapi/v1/order\?\S*newClientOrderId=(p33-[0-9a-f]{32})")


class Scene(msgspec.Struct, frozen=True):
    """A daemon that executes, with the moments (trio's clock) at which its orders reached the exchange."""

    pipeline: Pipeline
    governor: PlayedGovernor
    symbols: list[Symbol]
    arrived_sec: dict[str, float]


@asynccontextmanager
async def scene(redis_url: str) -> AsyncIterator[Scene]:
    symbols = usual_symbols(load_symbols(), SYMBOLS)
    arrived: dict[str, float] = {}

    async def see(request: bytes) -> None:
        for found in _ORDER_ID.findall(request):
            arrived.setdefault(found.decode(), trio.current_time())

    pipeline = Pipeline(redis_url)
    async with exchange_process() as exchange, relay_to(exchange.addresses.rest_url) as relay:
        relay.on_request = see
        environ = environment(
            redis_url,
            exchange.as_running(),
            {
                "P33_EXECUTOR": "on",
                "P33_ALLOWLIST": ",".join(symbol.name for symbol in symbols),
                "BINANCE_REST_URL": f"http://127.0.0.1:{relay.port}",
            },
        )
        async with daemon_process(environ) as daemon:
            url = await daemon.ready()
            governor = PlayedGovernor(pipeline)
            await governor.executor_reads()
            await governor.has_price(symbols[-1].name)
            await stream_is_trusted(url)
            yield Scene(pipeline, governor, symbols, arrived)


async def test_an_order_leaves_within_milliseconds_of_the_later_permit(redis_server: str) -> None:
    """The Governor's permit is the later one; each symbol is opened and closed in turn."""
    took_ms: list[float] = []
    async with scene(redis_server) as site, trio.open_nursery() as nursery:
        began_sec = trio.current_time()
        for number in range(PLANS):
            await trio.sleep_until(began_sec + number / PLANS_PER_SEC)
            symbol = site.symbols[number % SYMBOLS]
            fields = full_close(symbol.name) if number // SYMBOLS % 2 else opening(symbol)
            nursery.start_soon(_execute, site, f"plan-{number}", fields, took_ms)
    shown = [round(each, 1) for each in sorted(took_ms)]
    p50, p99 = median(shown), shown[int(len(shown) * 0.99)]
    print(f"permit to order sent: p50 {p50} ms, p99 {p99} ms, most {shown[-3:]} ms")
    assert len(shown) == PLANS
    assert p50 <= P50_MS and p99 <= P99_MS, (p50, p99, shown[-10:])


async def _execute(site: Scene, plan_id: str, fields: Fields, took_ms: list[float]) -> None:
    site.pipeline.publish_plan(plan_id, fields)
    permit = await site.pipeline.permit(plan_id)
    assert permit["allow"], (plan_id, permit["reason"])
    granted_sec = trio.current_time()
    site.governor.grant(plan_id, fields)
    client_id = id_at_exchange(plan_id)
    while client_id not in site.arrived_sec:
        await trio.sleep(0.002)
        assert trio.current_time() - granted_sec < 1.0, site.governor.result_now(plan_id)
    took_ms.append((site.arrived_sec[client_id] - granted_sec) * 1000)


async def test_a_plan_without_a_permit_is_refused_after_the_wait_with_the_name_of_what_is_missing(
    redis_server: str,
) -> None:
    waited_ms: list[float] = []
    async with scene(redis_server) as site:
        for number in range(UNGRANTED):
            plan_id = f"plan-{number}"
            site.pipeline.publish_plan(plan_id, opening(site.symbols[number]))
            published_sec = trio.current_time()
            result = await until(
                lambda plan_id=plan_id: site.governor.result_now(plan_id),
                plan_id,  # type: ignore[misc]
            )
            took_ms = (trio.current_time() - published_sec) * 1000
            assert result is not None
            assert (result["executed"], result["error"]) == ("false", "permit_timeout (missing: Governor)")
            waited_ms += [took_ms, float(json.loads(result["details"], parse_int=Decimal)["waited_ms"])]
        assert site.arrived_sec == {}
    print(f"permit_timeout after {min(waited_ms):.1f} to {max(waited_ms):.1f} ms")
    outside = [each for each in waited_ms if abs(each - WAIT_MS) > WAIT_TOLERANCE_MS]
    assert not outside, outside
