"""No line of an actor's work hides behind another that idles: each can be found stalled."""

from __future__ import annotations

import structlog
import trio
from trio.testing import wait_all_tasks_blocked

from actors.lease_holder import LEASE_TTL_SEC, LeaseHolder
from brain.identifiers import FencingToken
from channels import LatestValue, Lease
from store.records import LeaseReply
from store.universe_records import UniverseKeys
from supervision import Heartbeat
from tests.actors.evaluator_rig import EvaluatorRig, running_evaluator
from tests.actors.planner_rig import CountedStore, PlannerRig
from tests.background import background
from tests.virtual_time import virtual_time

pytestmark = virtual_time


async def test_a_decision_that_waits_for_a_read_is_work() -> None:
    rig = EvaluatorRig()
    async with running_evaluator(rig):
        heartbeat = rig.heartbeat
        assert heartbeat is not None
        assert heartbeat.oldest_beat_at_work_sec() is None
        rig.ledger("BTCUSDT", "1")
        rig.publish("plan-1")
        await rig.reads.receive()
        await wait_all_tasks_blocked()
        # The evaluator itself waits for more plans meanwhile; this one is somebody's work all the same.
        assert heartbeat.oldest_beat_at_work_sec() is not None
        await trio.sleep(1.5)
        assert rig.permit("plan-1") is not None
        assert heartbeat.oldest_beat_at_work_sec() is None


class DeafLeases:
    """A store that never answers, as no store may."""

    address = "memory"

    async def hold_lease(
        self, instance: str, fence: FencingToken | None, ttl_ms: int, *, process: str = ""
    ) -> LeaseReply:
        await trio.sleep_forever()
        raise AssertionError

    async def release_lease(self, fence: FencingToken) -> None:
        raise AssertionError


async def test_asking_for_the_lease_is_work() -> None:
    heartbeat = Heartbeat()
    holder = LeaseHolder(
        DeafLeases(),
        LatestValue[Lease]("lease"),
        instance="me",
        process="here/1/0",
        log=structlog.get_logger(),
    )
    async with background(holder.run, heartbeat):
        await trio.sleep(10 * LEASE_TTL_SEC)
        begun_sec = heartbeat.oldest_beat_at_work_sec()
        assert begun_sec is not None and trio.current_time() - begun_sec >= 10 * LEASE_TTL_SEC


class DeafUniverse(CountedStore):
    """A store that never answers one question, as no store may."""

    async def universe(self) -> UniverseKeys:
        await trio.sleep_forever()
        raise AssertionError


async def test_asking_redis_for_the_allowlist_is_work_and_asking_the_exchange_is_not() -> None:
    rig = PlannerRig()
    rig.exchange.latency_sec = 10_000
    async with rig.running():
        await trio.sleep(99)
        assert rig.heartbeat.oldest_beat_at_work_sec() is None

    rig = PlannerRig()
    rig.store = DeafUniverse(rig.redis, keys=rig.keys, consumer="me")
    async with rig.running():
        await trio.sleep(100)
        begun_sec = rig.heartbeat.oldest_beat_at_work_sec()
        assert begun_sec is not None and trio.current_time() - begun_sec >= 100
