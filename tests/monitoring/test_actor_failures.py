"""Metrics and log lines of failures; the tree that fails is a real one."""

from __future__ import annotations

from collections import Counter
from functools import partial

import structlog
import trio
from trio.testing import MockClock

from actors.metrics import Metrics
from channels import Count, DropOldest, MetricEvent, SetGauge
from monitoring.service_log import report_supervision
from supervision import Heartbeat, Intensity, Tree
from tests.background import background
from tests.monitoring.status_rig import StatusRig
from tests.supervision.rig import (
    Actor,
    chance,
    child,
    crashes_after,
    obedient,
    returns_after,
    script,
    supervisor,
)


async def hangs(heartbeat: Heartbeat) -> None:
    heartbeat.beat()
    await trio.sleep_forever()


class Reported:
    """The metrics and log lines of a tree with these actors that ran for a while."""

    def __init__(self) -> None:
        self.metrics: DropOldest[MetricEvent] = DropOldest("metrics", 1000)
        self.lines: list[structlog.typing.EventDict] = []

    async def run(self, *actors: Actor, for_sec: float = 50) -> Counter[tuple[str, ...]]:
        group = supervisor(
            *(child(f"a{number}", actor, stall_limit_sec=5) for number, actor in enumerate(actors)),
            name="group",
            intensity=Intensity(restarts=2, within_sec=100),
        )
        with structlog.testing.capture_logs() as self.lines:
            report = partial(report_supervision, self.metrics, structlog.get_logger())
            with trio.move_on_after(for_sec):
                await Tree(supervisor(group), rng=chance(), on_event=report).run()
        counted: Counter[tuple[str, ...]] = Counter()
        for event in await self.metrics.receive_all():
            assert isinstance(event, Count)
            counted[event.name.removeprefix("p33_actor_").removesuffix("_total"), *event.labels] += 1
        return counted


async def test_failures_are_counted_by_kind_and_restarts_by_actor(autojump_clock: MockClock) -> None:
    reported = Reported()
    assert await reported.run(script(crashes_after(1, OSError("no")), obedient), script(hangs, obedient)) == {
        ("failures", "a0", "crashed"): 1,
        ("restarts", "a0"): 1,
        ("failures", "a1", "stalled"): 1,
        ("restarts", "a1"): 1,
    }


async def test_a_group_that_gives_up_is_counted_with_all_that_it_restarts(autojump_clock: MockClock) -> None:
    reported = Reported()
    assert await reported.run(script(*[returns_after(1)] * 3, obedient), obedient) == {
        ("failures", "a0", "returned"): 3,
        ("failures", "group", "gave_up"): 1,
        ("restarts", "group"): 1,
        ("restarts", "a0"): 3,
        ("restarts", "a1"): 1,
    }


async def test_the_log_shows_who_failed_why_and_what_follows(autojump_clock: MockClock) -> None:
    reported = Reported()
    await reported.run(script(crashes_after(1, OSError("no route")), hangs, obedient))
    crash, again, stall, failure, once_more = (
        {name: value for name, value in line.items() if name != "exc_info"} for line in reported.lines
    )
    assert crash == {
        "event": "Actor failed",
        "log_level": "error",
        "actor": "a0",
        "reason": "OSError: no route",
        "restart_in_sec": 1.0,
    }
    assert again == {"event": "Actor restarted", "log_level": "warning", "actor": "a0", "restart": 1}
    assert stall == {
        "event": "Actor makes no progress", "log_level": "error", "actor": "a0", "limit_sec": 5,
    }  # fmt: skip
    assert (failure["actor"], failure["reason"]) == ("a0", "stalled")
    assert once_more["restart"] == 2
    assert isinstance(reported.lines[0]["exc_info"], OSError)


async def test_events_in_hand_when_the_metrics_actor_failed_are_counted_all_the_same() -> None:
    rig, events = StatusRig(), DropOldest[MetricEvent]("many", 10_000)
    actor = Metrics(
        rig.monitor,
        events,
        rig.channels.http_address,
        bind="127.0.0.1",
        port=0,
        clock=rig.clock,
        log=rig.log,
    )
    for _ in range(5_000):
        events.send(SetGauge("p33_stream_trusted", 0))
    events.send(SetGauge("p33_stream_trusted", 1))
    async with background(actor.run, Heartbeat()):
        while rig.monitor.registry.value("p33_stream_trusted") is None:
            await trio.lowlevel.checkpoint()
    assert rig.monitor.registry.value("p33_stream_trusted") == 1
