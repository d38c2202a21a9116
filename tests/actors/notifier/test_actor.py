"""The notifier: each address is sent what fires, in time, and a bad address is a trouble of its own alone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import trio
import trio.testing
from trio.testing import MockClock

from actors.notifier.actor import LOOK_SEC, Notifier
from actors.notifier.client import NoticeClient
from brain.identifiers import FencingToken, PlanId, Symbol
from brain.moment import Moment
from channels import Count, Lease, SetGauge, UnknownExecution
from monitoring.firing import STARTING_SEC
from monitoring.outbox import OVER_AFTER_SEC
from settings.notices import NoticeAddress
from store.notice_records import SeenMark
from supervision import Heartbeat
from tests.actors.notice_endpoint import NoticeEndpoint, notice_endpoint
from tests.background import background
from tests.monitoring.status_rig import NOON_MS, SetClock, StatusRig

#: A loaded machine may be late in waking a task.
_WITHIN_SEC = 2.0
#: Of an address that does not answer.
_BEFORE_A_TIMEOUT_SEC = 4.0


class TrioClock(SetClock):
    """Shows Trio's time, which a test may let pass at once."""

    def now(self) -> Moment:
        now_sec = trio.current_time()
        return Moment(now_sec, NOON_MS + round(now_sec * 1000))


def rig_for(*endpoints: NoticeEndpoint, clock: SetClock | None = None) -> StatusRig:
    """A service that is ready, and has started long ago."""
    urls = ",".join(f"json+http://127.0.0.1:{each.port}/hook" for each in endpoints)
    rig = StatusRig(clock=clock, environment={"P33_NOTICE_URL": urls})
    if clock is None:
        rig.clock.advance(STARTING_SEC)
        rig.publish("BTCUSDT", "-0.038", age_sec=0.0)
    return rig


@asynccontextmanager
async def notifying(rig: StatusRig, *, timeout_sec: float = 5.0) -> AsyncIterator[Heartbeat]:
    notifier = Notifier(
        rig.monitor.notices,
        NoticeClient(timeout_sec=timeout_sec),
        instance="here:8045",
        metrics=rig.channels.metrics,
        clock=rig.clock,
        log=rig.log,
    )
    heartbeat = Heartbeat()
    async with background(notifier.run, heartbeat):
        yield heartbeat


async def time_passes(rig: StatusRig, seconds: float) -> None:
    """Let the set clock go on second by second, with a look in each, and the one snapshot stay fresh."""
    for _ in range(round(seconds)):
        rig.clock.advance(1.0)
        rig.publish("BTCUSDT", "-0.038", age_sec=0.0)
        await trio.sleep(LOOK_SEC)


def states(endpoint: NoticeEndpoint) -> list[tuple[str, str]]:
    return [(body["state"], body["kind"]) for body in endpoint.bodies]


def unknown(plan_id: str) -> UnknownExecution:
    return UnknownExecution(PlanId(plan_id), Symbol("BTCUSDT"), NOON_MS, 10.0**9)


async def test_the_begin_arrives_within_two_seconds_and_the_end_once_it_has_lasted_for_ten(
    mock_clock: MockClock,
) -> None:
    mock_clock.autojump_threshold = 0.005
    async with notice_endpoint() as endpoint:
        rig = rig_for(endpoint)
        async with notifying(rig):
            await trio.sleep(0.3)
            assert endpoint.requests == []
            caused_sec = trio.current_time()
            rig.channels.ledgers_adopted.send(False)
            await endpoint.until(lambda: len(endpoint.requests) == 1)
            assert endpoint.requests[0][2] - caused_sec < _WITHIN_SEC
            rig.channels.ledgers_adopted.send(True)
            await time_passes(rig, OVER_AFTER_SEC - 1)
            assert len(endpoint.requests) == 1
            await time_passes(rig, 3)
            await endpoint.until(lambda: len(endpoint.requests) == 2)
        assert states(endpoint) == [("firing", "not_ready"), ("resolved", "not_ready")]
        first: dict[str, Any] = endpoint.bodies[0]
        assert first["instance"] == "here:8045"
        assert first["text"] == "the first ledgers are not adopted yet"


async def test_bad_addresses_delay_no_other() -> None:
    async with (
        notice_endpoint("silent") as silent,
        notice_endpoint("endless_head") as endless,
        notice_endpoint("redirect") as redirecting,
        notice_endpoint() as unusable,
        notice_endpoint() as good,
    ):
        rig = rig_for(silent, endless, redirecting, unusable, good)
        broken = rig.monitor.notices.deliveries[3]
        broken.address = NoticeAddress("json", "http://\udc80.example", "/x")
        async with notifying(rig):
            rig.channels.ledgers_adopted.send(False)
            await good.until(lambda: len(good.requests) == 1, _BEFORE_A_TIMEOUT_SEC)
            await silent.until(lambda: len(silent.requests) == 1)
            rig.channels.unknown_executions.send((unknown("plan-1"),))
            await good.until(lambda: len(good.requests) == 2, _BEFORE_A_TIMEOUT_SEC)
        assert states(good) == [("firing", "not_ready"), ("firing", "unknown_execution")]
        assert broken.trouble == "TypeError"


async def test_a_refused_body_is_given_up_and_counted_in_the_next(mock_clock: MockClock) -> None:
    mock_clock.autojump_threshold = 0.005
    async with notice_endpoint("refusing") as endpoint:
        rig = rig_for(endpoint)
        async with notifying(rig):
            rig.channels.ledgers_adopted.send(False)
            await endpoint.until(lambda: len(endpoint.requests) == 3, 60.0)
            endpoint.mode = "ok"
            rig.channels.ledgers_adopted.send(True)
            await time_passes(rig, OVER_AFTER_SEC + 3)
            await endpoint.until(lambda: len(endpoint.requests) == 4, 60.0)
        assert states(endpoint)[-1] == ("resolved", "not_ready")
        assert endpoint.bodies[-1]["others"] == 1


async def test_an_address_that_was_dead_for_an_hour_is_sent_what_fires_then(mock_clock: MockClock) -> None:
    mock_clock.autojump_threshold = 0.001
    async with notice_endpoint() as endpoint, notice_endpoint("broken") as dead:
        rig = rig_for(endpoint, dead, clock=TrioClock())
        async with notifying(rig) as heartbeat:
            # The one snapshot grows stale, and stays so.
            await endpoint.until(lambda: len(endpoint.requests) == 1, 60.0)
            await trio.sleep(3500)
            beat_sec = heartbeat.oldest_beat_at_work_sec()
            assert beat_sec is None or trio.current_time() - beat_sec < 1
            assert 50 < len(dead.requests) < 80
            assert len(rig.log_lines) == 1
            assert states(endpoint) == [("firing", "not_ready")]
            dead.mode = "ok"
            await trio.sleep(61)
            assert states(dead)[-1] == ("firing", "not_ready")
            tried = len(dead.requests)
            await endpoint.until(lambda: len(endpoint.requests) == 2, 3600.0)
            assert states(endpoint)[-1] == ("still_firing", "not_ready")
            assert len(dead.requests) == tried


async def test_a_standby_reports_itself_and_the_holder_the_account(mock_clock: MockClock) -> None:
    mock_clock.autojump_threshold = 0.005
    async with notice_endpoint() as endpoint:
        rig = rig_for(endpoint)
        rig.lease.send(Lease(None, "other:8045"))
        rig.channels.unknown_executions.send((unknown("plan-1"),))
        rig.waits.append(("brain/permit_evaluator", "Redis at r:6379"))
        async with notifying(rig):
            await endpoint.until(lambda: len(endpoint.requests) == 1)
            await trio.sleep(5)
            assert states(endpoint) == [("firing", "not_ready")]
            rig.lease.send(Lease(FencingToken("8"), "here:8045"))
            await endpoint.until(lambda: len(endpoint.requests) == 2)
            assert endpoint.bodies[-1]["subject"] == "plan-1"
            rig.lease.send(Lease(None, "other:8045"))
            await trio.sleep(5)
            assert len(endpoint.requests) == 2


async def test_a_notice_that_a_person_has_seen_is_not_sent_until_the_mark_is_over(
    mock_clock: MockClock,
) -> None:
    mock_clock.autojump_threshold = 0.005
    async with notice_endpoint() as endpoint:
        rig = rig_for(endpoint)
        now_ms = rig.clock.now().wall_ms
        for kind, subject in (("not_ready", ""), ("unknown_execution", "plan-1")):
            mark = SeenMark("ann", now_ms + 7_000_000)
            await rig.store.mark_seen(kind, subject, mark, now_ms, ("event", "x"))
        rig.channels.ledgers_adopted.send(False)
        async with notifying(rig):
            await trio.sleep(5)
            rig.clock.advance(3601)
            rig.channels.unknown_executions.send((unknown("plan-1"),))
            await trio.sleep(5)
            assert endpoint.requests == []
            rig.clock.advance(3601)
            await endpoint.until(lambda: len(endpoint.requests) == 2)
        assert states(endpoint) == [("firing", "not_ready"), ("firing", "unknown_execution")]


async def test_without_an_address_it_looks_all_the_same(mock_clock: MockClock) -> None:
    mock_clock.autojump_threshold = 0.005
    rig = StatusRig()
    rig.clock.advance(STARTING_SEC)
    rig.channels.ledgers_adopted.send(False)
    await rig.store.mark_seen("not_ready", "", SeenMark("ann", NOON_MS * 2), NOON_MS, ("event", "x"))
    async with notifying(rig):
        await trio.sleep(LOOK_SEC)
        await time_passes(rig, 30)
    (shown,) = rig.monitor.notices.status_document().notices
    assert (shown.for_sec, shown.seen_by) == (30.0, "ann")


async def test_outcomes_are_counted() -> None:
    async with notice_endpoint() as endpoint:
        rig = rig_for(endpoint)
        rig.channels.ledgers_adopted.send(False)
        async with notifying(rig):
            await endpoint.until(lambda: len(endpoint.requests) == 1)
            with trio.fail_after(5):
                events = await rig.events.receive_all()
        assert events == [Count("p33_notices_total", ("not_ready", "sent"))]


async def test_an_address_that_asks_to_wait_is_left_alone_for_so_long(mock_clock: MockClock) -> None:
    mock_clock.autojump_threshold = 0.005
    async with notice_endpoint("limiting") as endpoint:
        rig = rig_for(endpoint)
        async with notifying(rig):
            rig.channels.ledgers_adopted.send(False)
            await endpoint.until(lambda: len(endpoint.requests) == 2, 60.0)
            first, second = (at_sec for _, _, at_sec in endpoint.requests)
            assert 40.0 <= second - first < 45.0
            endpoint.mode = "ok"
            await endpoint.until(lambda: len(endpoint.requests) == 3, 60.0)
        assert states(endpoint)[-1] == ("firing", "not_ready")


async def test_of_many_changes_twelve_are_sent_within_a_minute_and_the_rest_is_counted(
    mock_clock: MockClock,
) -> None:
    mock_clock.autojump_threshold = 0.005
    async with notice_endpoint() as endpoint:
        rig = rig_for(endpoint)
        (delivery,) = rig.monitor.notices.deliveries

        def differing() -> None:
            for number in range(20):
                rig.publish(f"S{number:02d}USDT", "1", age_sec=0.0)
                rig.monitor.registry.apply(SetGauge("p33_ledger_amt", 0.5, (f"S{number:02d}USDT",)))

        differing()
        async with notifying(rig):
            await endpoint.until(lambda: len(endpoint.requests) == 12)
            await trio.testing.wait_all_tasks_blocked(0.005)
            rig.clock.advance(59)
            differing()
            await trio.sleep(5)
            assert (len(endpoint.requests), delivery.sent) == (12, 12)
            rig.clock.advance(1)
            await endpoint.until(lambda: len(endpoint.requests) == 13)
        assert [body["others"] for body in endpoint.bodies] == [0] * 12 + [7]
        assert {body["kind"] for body in endpoint.bodies} == {"divergence"}
