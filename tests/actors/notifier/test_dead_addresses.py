"""Addresses that are dead for an hour: decisions, readiness and memory are as without them."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

import pytest
import structlog
import trio
from trio.testing import MockClock

import settings
from actors.notifier.actor import Notifier
from actors.notifier.client import NoticeClient
from brain.identifiers import PlanId, Symbol
from channels import Channels, UnknownExecution
from exchange.weight_budget import WeightBudget
from monitoring.monitor import Monitor
from monitoring.notices import Delivery
from supervision import Heartbeat
from tests.actors.evaluator_rig import EvaluatorRig, running_evaluator
from tests.actors.notice_endpoint import Mode, NoticeEndpoint, notice_endpoint
from tests.background import background
from tests.monitoring.status_rig import ENVIRONMENT, NEEDED, StandingTree, node

ROUNDS, ROUND_SEC = 140, 25
#: As many unknown executions at any moment, each of which lasts two rounds.
AT_ONCE = 3
DEAD: tuple[Mode | None, ...] = (None, "silent", "broken", "limiting", "endless_head", "redirect")
#: Of a decision, in virtual time: what is slower waits for something.
DECIDED_WITHIN_SEC = 0.05
#: What an outbox holds of each condition, and its times of the last minute.
MOST_KEPT = 100


@asynccontextmanager
async def endpoints_of(modes: Iterable[Mode | None]) -> AsyncIterator[dict[Mode | None, NoticeEndpoint]]:
    """Yield endpoints of those modes; None: one at whose port nobody listens."""
    async with notice_endpoint() as gone:
        pass
    async with AsyncExitStack() as stack:
        yield {
            mode: gone if mode is None else await stack.enter_async_context(notice_endpoint(mode))
            for mode in modes
        }


def monitor_of(rig: EvaluatorRig, *endpoints: NoticeEndpoint) -> Monitor:
    """Return the monitor of a service that has the rig's channels, and sends notices there."""
    urls = ",".join(f"json+http://127.0.0.1:{each.port}/hook" for each in endpoints)
    loaded = settings.load({**ENVIRONMENT, "P33_NOTICE_URL": urls})
    tree = StandingTree(node("brain", *NEEDED, node("metrics")), [])
    channels = Channels(1)
    for name in vars(channels):
        setattr(channels, name, getattr(rig, name))
    return Monitor(
        loaded, channels, rig.store, tree=lambda: tree, clocks=rig.clocks,
        budget=WeightBudget(rig.clock, 1200), exchange_trouble=lambda: None, log=structlog.get_logger(),
    )  # fmt: skip


def kept(delivery: Delivery) -> int:
    """Return the number of things that an outbox keeps."""
    box = delivery.outbox
    return sum(map(len, (box._alarms, box._sent, box._unsent, box._times_sec, box._counted)))


def some_unknown(rig: EvaluatorRig, number: int) -> None:
    """Let the outcome of some executions be unknown, others than two rounds ago."""
    rig.unknown_executions.send(
        tuple(
            UnknownExecution(PlanId(f"unknown-{number + each}"), Symbol("BTCUSDT"), 0, math.inf)
            for each in range(AT_ONCE)
        )
    )


async def decision_sec(rig: EvaluatorRig, plan_id: str) -> float:
    """Publish a plan; return the time until it has its permit."""
    begun_sec = trio.current_time()
    rig.publish(plan_id, "ETHUSDT")
    while rig.permit(plan_id) is None:  # noqa: ASYNC110 - on a Redis in memory
        await trio.sleep(0.001)
    return trio.current_time() - begun_sec


@pytest.mark.simulation
async def test_an_hour_of_dead_addresses_changes_nothing_else(mock_clock: MockClock) -> None:
    mock_clock.autojump_threshold = 0.002
    rig = EvaluatorRig()
    async with endpoints_of((*DEAD, "endless", "ok")) as endpoints:
        monitor = monitor_of(rig, *endpoints.values())
        notifier = Notifier(
            monitor.notices, NoticeClient(), instance="here:8045", metrics=rig.metrics, clock=rig.clock,
            log=structlog.get_logger(),
        )  # fmt: skip
        sent_to = dict(zip(endpoints, monitor.notices.deliveries, strict=True))
        heartbeat, slowest_sec = Heartbeat(), 0.0
        async with running_evaluator(rig), background(notifier.run, heartbeat):
            for number in range(ROUNDS):
                for _ in range(ROUND_SEC // 5):
                    for symbol in ("BTCUSDT", "ETHUSDT"):
                        rig.holds(symbol, "1")
                    await trio.sleep(5)
                assert monitor.status.readiness().ready
                some_unknown(rig, number)
                slowest_sec = max(slowest_sec, await decision_sec(rig, f"plan-{number}"))
                assert max(map(kept, sent_to.values())) < MOST_KEPT
            beat_sec = heartbeat.oldest_beat_at_work_sec()
            assert beat_sec is None or trio.current_time() - beat_sec < 1
            assert slowest_sec < DECIDED_WITHIN_SEC
            assert len(endpoints["ok"].requests) > ROUNDS
            # The head of an endless answer says that the notice has arrived.
            assert sent_to["endless"].trouble is None
            for mode in DEAD:
                assert sent_to[mode].trouble is not None and sent_to[mode].sent == 0, mode
                # Once a minute at the end: nothing runs hot.
                assert len(endpoints[mode].requests) < 2 * ROUNDS * ROUND_SEC / 60, mode
                endpoints[mode].mode = "ok"
            present = {f"unknown-{ROUNDS - 1 + each}" for each in range(AT_ONCE)}
            for mode in DEAD:
                if mode is None:
                    continue
                delivery, endpoint = sent_to[mode], endpoints[mode]
                await endpoint.until(partial(_has_sent, delivery, AT_ONCE), 70)
                fired = {body["subject"] for body in endpoint.bodies if body["state"] == "firing"}
                assert present <= fired and delivery.trouble is None, mode


def _has_sent(delivery: Delivery, number: int) -> bool:
    return delivery.sent >= number
