"""A wait for Redis is shown from the first failure until something succeeds, and logged where it must be."""

from __future__ import annotations

import pytest
import structlog
import trio
from structlog.testing import capture_logs

from actors.waiting import RedisTrouble
from channels import Lease
from store.errors import StoreUnavailableError, WrongRightsError
from supervision import Heartbeat
from tests.actors.evaluator_rig import EvaluatorRig, running_evaluator
from tests.actors.ledger_rig import LedgerRig, at_rest, running_writer
from tests.virtual_time import virtual_time

pytestmark = virtual_time

NO_RIGHT = "user p33 has no right to XADD"


def waits(heartbeat: Heartbeat | None) -> list[str]:
    assert heartbeat is not None
    return [wait.what for wait in heartbeat.waits()]


async def test_a_wait_is_shown_through_every_attempt_until_one_succeeds() -> None:
    heartbeat, trouble = Heartbeat(), RedisTrouble("Redis at there", structlog.get_logger())
    trouble.begin(StoreUnavailableError("gone"), heartbeat)
    assert waits(heartbeat) == ["Redis at there: gone"]
    trouble.begin(ExceptionGroup("", [StoreUnavailableError("gone")]), heartbeat)
    assert waits(heartbeat) == ["Redis at there: gone"]
    trouble.begin(WrongRightsError(NO_RIGHT), heartbeat)
    with heartbeat.idle():
        assert waits(heartbeat) == [f"Redis at there: {NO_RIGHT}"]
    trouble.over()
    assert waits(heartbeat) == []
    trouble.over()


async def test_a_missing_right_is_logged_once_a_minute_and_an_outage_is_not() -> None:
    heartbeat = Heartbeat()
    with capture_logs() as lines:
        trouble = RedisTrouble("Redis at there", structlog.get_logger())
        trouble.begin(StoreUnavailableError("gone"), heartbeat)
        assert lines == []
        for _ in range(650):
            trouble.begin(WrongRightsError(NO_RIGHT), heartbeat)
            trouble.over()
            await trio.sleep(0.1)
    assert [line["event"] for line in lines] == [f"Waiting for Redis at there: {NO_RIGHT}"] * 2


@pytest.mark.parametrize("method", ["commit_decisions", "plans.read_new", "plans.create", "redis_run"])
async def test_an_evaluator_without_a_right_shows_it_at_every_moment_and_decides_once_it_is_back(
    rig: EvaluatorRig, method: str
) -> None:
    rig.holds("BTCUSDT", "1")
    async with running_evaluator(rig):
        rig.redis.faults.forbid(method)
        with rig.redis.faults.outage():
            await trio.sleep(0.05)
        rig.publish("p")
        await trio.sleep(0.3)
        for _ in range(200):
            shown = waits(rig.heartbeat)
            assert f"Redis at memory: user p33 has no right to {method}" in shown
            await trio.sleep(0.013)
        assert rig.permit("p") is None
        rig.redis.faults.permit(method)
        await trio.sleep(0.3)
        assert rig.reason("p") == "sanity_checks_passed"
        assert waits(rig.heartbeat) == []


async def test_an_evaluator_that_stands_by_after_an_outage_waits_for_the_lease_and_for_nothing_else(
    rig: EvaluatorRig,
) -> None:
    async with running_evaluator(rig):
        with rig.redis.faults.outage():
            await trio.sleep(0.5)
            assert any("Redis at memory" in wait for wait in waits(rig.heartbeat))
            rig.lease.send(Lease(None, "another"))
        await trio.sleep(0.5)
        assert waits(rig.heartbeat) == ["the lease, held by another"]


@pytest.mark.parametrize("method", ["commit_results", "results.read_new", "results.create"])
async def test_a_ledger_writer_without_a_right_shows_it_at_every_moment_and_books_once_it_is_back(
    method: str,
) -> None:
    rig = LedgerRig()
    rig.exchange.set("BTCUSDT", "0", update_time_ms=0)
    async with running_writer(rig):
        await at_rest(rig)
        rig.redis.faults.forbid(method)
        with rig.redis.faults.outage():
            await trio.sleep(0.05)
        rig.execute("BTCUSDT", "1", "SELL", "0.3")
        await trio.sleep(0.5)
        for _ in range(200):
            assert f"Redis at memory: user p33 has no right to {method}" in waits(rig.heartbeat)
            await trio.sleep(0.013)
        assert rig.amount("BTCUSDT") == "0"
        rig.redis.faults.permit(method)
        await trio.sleep(0.5)
        assert rig.amount("BTCUSDT") == "-0.3"
        assert rig.dead() == []
        assert waits(rig.heartbeat) == []
