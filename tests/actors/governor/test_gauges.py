"""Gauges of the Governor, of inputs that are there and of those that have gone."""

from __future__ import annotations

import math

import pytest
import trio

from channels import SetGauge
from exchange.errors import ExchangeUnavailable
from tests.actors.governor_rig import PREFIX, GovernorRig, actor_rules, running_governor
from tests.virtual_time import virtual_time

pytestmark = virtual_time


async def shown(rig: GovernorRig) -> dict[tuple[str, ...], float]:
    """Return the latest value of each gauge that was sent since the last look."""
    sent = await rig.metrics.receive_all()
    return {(each.name, *each.labels): each.value for each in sent if isinstance(each, SetGauge)}


async def test_the_age_of_a_neighbours_input_is_shown_while_it_is_there_and_no_number_behind_it() -> None:
    rig = GovernorRig(actor_rules(symbol_cooldown_sec=0.0))
    key, age = f"{PREFIX}:portfolio:budget:BTCUSDT", ("gov_input_age_sec", "budget")
    async with running_governor(rig):
        rig.publish("without", qty="0.1")
        await trio.sleep(2)
        assert age not in await shown(rig)
        rig.redis.hset(
            key, {"mode": "enforce", "budget_usd": "900", "timestamp": str(rig.clock.now().wall_ms)}
        )
        rig.publish("with", qty="0.1")
        await trio.sleep(2)
        assert (await shown(rig))[age] == pytest.approx(0, abs=0.1)
        rig.redis.delete(key)
        rig.publish("behind", "ETHUSDT", qty="0.1")
        await trio.sleep(2)
    assert math.isnan((await shown(rig))[age])


async def test_drawdown_and_cut_off_are_no_numbers_once_the_equity_is_too_old(rig: GovernorRig) -> None:
    names: set[tuple[str, ...]] = {("gov_drawdown",), ("gov_z_cutoff", "ENTRY")}
    async with running_governor(rig):
        await trio.sleep(2)
        before = await shown(rig)
        assert names <= before.keys() and not any(math.isnan(before[name]) for name in names)
        rig.account.error = ExchangeUnavailable("no answer")
        await trio.sleep(65)
        after = await shown(rig)
        assert all(math.isnan(after[name]) for name in names)
        assert ("gov_z_cutoff", "EXIT") not in after
        rig.account.error = None
        await trio.sleep(3)
    again = await shown(rig)
    assert not any(math.isnan(again[name]) for name in names)
