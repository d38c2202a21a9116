"""Volumes of the universe publisher that do not come, on virtual time."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import trio

from tests.actors.universe_rig import NAMES, Rig, names
from tests.virtual_time import virtual_time

pytestmark = virtual_time

CHOICE: dict[str, Any] = {"universe_min_quote_volume": Decimal(995), "universe_volume_sec": 3600.0}


def ranked_by(rig: Rig) -> str:
    return str(json.loads(rig.redis.get(NAMES.active) or b"")["ranked_by"])


async def restarted(rig: Rig, **mode: Any) -> Rig:
    """A new process on the same Redis, whose exchange does not answer on volumes."""
    rig.redis.delete("quantum:p33:lease")
    again = Rig(**CHOICE, **mode)
    again.use(rig.redis)
    again.exchange.volumes_latency_sec = 100_000
    return again


async def test_a_restart_without_volumes_publishes_by_those_that_stand_while_they_live() -> None:
    rig = Rig(**CHOICE)
    async with rig.running():
        assert (rig.active(), ranked_by(rig)) == (names(6), "volume")
    again = await restarted(rig)
    async with again.running():
        await trio.sleep(120)
        assert (again.active(), ranked_by(again)) == (names(6), "volume")
        assert again.meta()["stale"] == "0"
        await trio.sleep(7_200)
        assert (again.active(), ranked_by(again)) == (names(10), "name")


async def test_volumes_beside_lists_of_the_other_exchange_are_not_used() -> None:
    rig = Rig(**CHOICE)
    async with rig.running():
        pass
    again = await restarted(rig, universe_mode="mainnet")
    async with again.running():
        await trio.sleep(120)
        assert ranked_by(again) == "name"


async def test_an_answer_without_any_volume_is_no_answer() -> None:
    rig = Rig(**(CHOICE | {"universe_volume_sec": 60.0}))
    async with rig.running():
        rig.exchange.has_volumes = False
        await trio.sleep(61)
        assert (rig.active(), rig.meta()["stale"]) == (names(6), "0")
        stored = json.loads(rig.redis.get(NAMES.volumes) or b"")
        assert stored["rank"] == list(names(10))
