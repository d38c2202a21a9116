"""The universe publisher beside another one, which is no instance of this service, on virtual time."""

from __future__ import annotations

import json
from typing import Any

import trio

from tests.actors.universe_rig import NAMES, SHADOW, Rig, names
from tests.virtual_time import virtual_time

pytestmark = virtual_time

KEY = "quantum:cfg:universe:active"


def others_list(rig: Rig, *, age_sec: float = 0.0) -> bytes:
    """Publish the list of another publisher as its age says, and return its text."""
    asof = int(rig.redis.now_ms() / 1000 - age_sec)
    text = json.dumps({"asof_epoch": asof, "symbols": ["THEIRSUSDT", *names(10)]}).encode()
    rig.redis.set(NAMES.active, text)
    rig.redis.set(NAMES.last_ok, text)
    return text


async def test_a_publisher_waits_until_the_other_one_has_stopped() -> None:
    rig = Rig()
    theirs = others_list(rig)
    async with rig.running():
        await trio.sleep(0.5)
        for _ in range(10):
            await trio.sleep(60)
            assert rig.redis.get(NAMES.active) == theirs
            (wait,) = rig.heartbeat.waits()
            assert wait.what.startswith(f"another universe publisher works on {KEY}: its list is ")
            theirs = others_list(rig)
        waiting = [line for line in rig.lines() if line.startswith("Waiting: another universe publisher")]
        assert len(waiting) == 1
        assert rig.meta() == {}
        await trio.sleep(130)
        assert rig.active() == names(10)


async def test_a_publisher_that_finds_the_list_of_another_one_steps_back() -> None:
    rig = Rig()
    async with rig.running():
        await trio.sleep(200)
        theirs = others_list(rig)
        await trio.sleep(100)
        assert rig.redis.get(NAMES.active) == rig.redis.get(NAMES.last_ok) == theirs
        assert rig.channels.universe_channels is not None
        assert rig.channels.universe_channels.state.value is None
        await trio.sleep(60)
        assert rig.active() == names(10)


async def test_a_takeover_publishes_beside_the_other_one_with_a_warning() -> None:
    rig = Rig(take_over=True)
    others_list(rig)
    async with rig.running():
        assert rig.active() == names(10)
        assert any(line.startswith("P33_TAKE_OVER: another universe") for line in rig.lines())


async def test_the_list_of_another_instance_of_ours_is_no_reason_to_wait() -> None:
    rig = Rig()
    async with rig.running():
        listed = json.loads(rig.redis.get(NAMES.last_ok) or b"") | {"published_by": "the former one"}
        rig.redis.set(NAMES.active, json.dumps(listed))
        rig.redis.set(NAMES.last_ok, json.dumps(listed))
        await trio.sleep(61)
        assert json.loads(rig.redis.get(NAMES.last_ok) or b"")["published_by"] == "me"


async def test_the_shadow_works_beside_another_publisher() -> None:
    rig = Rig(universe="shadow")
    theirs = others_list(rig)
    async with rig.running():
        assert rig.active(SHADOW) == names(10)
        assert rig.redis.get(NAMES.active) == theirs


async def test_a_last_good_list_that_changes_at_every_attempt_is_named_and_the_refresh_given_up() -> None:
    rig = Rig(take_over=True)
    async with rig.running():
        original = rig.store.published_universe

        async def overtaken(*, shadow: bool) -> Any:
            found = await original(shadow=shadow)
            rig.redis.set(NAMES.last_ok, (found.last_ok or b"") + b" ")
            return found

        rig.store.published_universe = overtaken  # type: ignore[method-assign]
        await trio.sleep(61)
        assert await rig.counted("universe_refresh_total") == {"published": 1, "state_contended": 1}
