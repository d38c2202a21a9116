from __future__ import annotations

import trio
from trio.testing import MockClock

from channels import LatestValue
from tests.actors.evaluator_rig import EvaluatorRig, running_evaluator


async def test_a_plan_held_back_while_redis_restarts_is_not_allowed(autojump_clock: MockClock) -> None:
    """Nothing is under way to Redis while a plan waits for the allowlist: no call fails and tells of it."""
    rig = EvaluatorRig(on_demand=False)
    rig.holds("BTCUSDT", "1")
    allowlist, rig.allowlist = rig.allowlist.value, LatestValue("allowlist")
    assert allowlist is not None
    async with running_evaluator(rig):
        rig.publish("before")
        await trio.sleep(0.3)
        rig.redis.restart()
        await trio.sleep(0.05)
        rig.allowlist.send(allowlist)
        await trio.sleep(0.2)
        assert rig.reason("before") == "recovering"
        rig.publish("after")
        await trio.sleep(0.2)
        assert rig.reason("after") == "sanity_checks_passed"
