"""Fifty symbols drift at once: all are held, the oldest is looked at first, within the weight of a minute."""

from __future__ import annotations

from collections.abc import AsyncIterator
from urllib.parse import parse_qs

import pytest
import trio

from simulator import RunningSimulator, SimulatedExchange, running
from simulator.request_log import RequestRecord
from simulator.symbols import load_symbols
from tests.integration.execution_load import usual_symbols
from tests.integration.reconciled import HELD_WITHIN_SEC, PATIENCE_SEC, Reconciled, sec_between
from tests.integration.waiting import until

WEIGHT_PER_MIN = 60
DRIFTING = 50
#: A look at one order costs 6. So many have been looked at only when a second minute has begun.
LOOKED_AT = 15
#: So many are looked at at once: their requests may arrive in any order.
AT_ONCE = 4
HISTORY = ("/fapi/v1/userTrades", "/fapi/v1/allOrders", "/fapi/v1/forceOrders", "/fapi/v1/order")


@pytest.fixture
async def simulator() -> AsyncIterator[RunningSimulator]:
    """An exchange of twice as many symbols as drift."""
    symbols = usual_symbols(load_symbols(), 2 * DRIFTING)
    async with running(SimulatedExchange(symbols={each.name: each for each in symbols})) as started:
        yield started


def requests(site: Reconciled) -> list[RequestRecord]:
    """Return the requests for evidence, in their order."""
    log = site.exchange.requests
    found = [each for path in HISTORY for each in log.records(path=path)]
    return sorted(found, key=lambda each: each.wall_time_ms)


def looked_at(site: Reconciled) -> list[str]:
    """Return the symbols that were looked at, each once, in the order of the first looks."""
    return list(dict.fromkeys(parse_qs(each.query)["symbol"][0] for each in requests(site)))


async def test_fifty_drifts_at_once_are_held_and_looked_at_by_age_within_the_weight(
    reconciled: Reconciled,
) -> None:
    site = reconciled
    # Neither by name nor by the exchange's order.
    names = [*reversed(site.exchange.listing.symbols)][:DRIFTING]
    async with site.daemon({"P34_WEIGHT_PER_MIN": str(WEIGHT_PER_MIN)}):
        orders = {}
        for name in names:
            orders[name] = site.lost(name, f"{site.exchange.symbol(name).step_size:f}")
            # Most are seen at different moments, and all before the first is old enough to be a case.
            await trio.sleep(0.03)
        held = {}
        for name in names:
            found = await until(lambda name=name: site.event(name, "HOLD_SET"), f"{name} is held")  # type: ignore[misc]
            assert found is not None
            held[name] = sec_between(orders[name], found)
        assert max(held.values()) < HELD_WITHIN_SEC, held
        since_ms = {name: int(site.state(name).get("since_ms") or 0) for name in names}
        await until(lambda: len(looked_at(site)) >= LOOKED_AT, "a second minute", 60 + PATIENCE_SEC)
        first = looked_at(site)[:LOOKED_AT]
        for name in first:
            await site.repaired(name)

    sent = requests(site)
    for begin in sent:
        minute = [each for each in sent if 0 <= each.wall_time_ms - begin.wall_time_ms < 60_000]
        assert sum(each.weight for each in minute) <= WEIGHT_PER_MIN, minute
    assert sum(each.weight for each in sent) > WEIGHT_PER_MIN
    # What was repaired before it was asked has no first sight any more, and was older than the rest.
    ages = [since_ms[name] for name in first]
    assert all(before <= after for before, after in zip(ages, ages[AT_ONCE:], strict=False)), ages
    assert max(ages) <= min(since_ms[name] for name in names if name not in looked_at(site))
    assert len(set(since_ms.values())) > AT_ONCE
