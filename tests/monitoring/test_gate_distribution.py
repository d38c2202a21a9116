from __future__ import annotations

import structlog
import trio
import trio.testing
from structlog.testing import CapturingLogger

from actors.gate_reporter import GateReporter
from brain.decisions.decision import decide, deny_malformed
from brain.identifiers import PlanId
from brain.plans.plan import MalformedPlan
from clock import TrioClock
from monitoring.gate_distribution import GateCounts, GateDistribution
from supervision import Heartbeat
from tests.brain.cases import NOW_MS, case, entry
from tests.virtual_time import virtual_time

pytestmark = virtual_time

CLOSE = decide(case())
OPEN = decide(case(entry(), "0"))
NO_POSITION = decide(case(amount="0"))
MALFORMED = deny_malformed(MalformedPlan(PlanId("plan-1"), None, {"symbol": "missing"}))


async def test_decisions_are_counted_by_reason_recently_and_since_the_start() -> None:
    gates = GateDistribution(TrioClock(NOW_MS))
    for decision in (CLOSE, NO_POSITION, MALFORMED, MALFORMED):
        gates.decided([decision])
    await trio.sleep(400)
    gates.decided([OPEN])
    assert gates.last_5_min() == GateCounts(1, 0, {"open_permit_granted": 1}, {})
    everything = GateCounts(
        2,
        3,
        {"open_permit_granted": 1, "sanity_checks_passed": 1},
        {"malformed_plan": 2, "no_position": 1},
    )
    assert gates.last_1_h() == gates.since_start() == everything
    assert list(gates.since_start().deny_by_reason) == ["malformed_plan", "no_position"]
    await trio.sleep(4000)
    assert gates.last_1_h() == GateCounts(0, 0, {}, {})
    assert gates.since_start() == everything


async def test_the_log_shows_the_last_five_minutes_once_a_minute() -> None:
    log = CapturingLogger()
    gates = GateDistribution(TrioClock(NOW_MS))
    heartbeat = Heartbeat()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(GateReporter(gates, structlog.wrap_logger(log, processors=[])).run, heartbeat)
        for decision in (CLOSE, NO_POSITION, NO_POSITION):
            gates.decided([decision])
        await trio.sleep(121)
        heartbeat.stopping.set()
    lines = [call.kwargs["event"] for call in log.calls]
    assert (
        lines
        == ["P3.3 gate distribution 5m: allow=1 deny=2 reasons=no_position:2,sanity_checks_passed:1"] * 3
    )


async def test_the_line_of_a_quiet_time_says_so() -> None:
    line = GateDistribution(TrioClock(NOW_MS)).line()
    assert line == "P3.3 gate distribution 5m: allow=0 deny=0 reasons=-"


async def test_the_history_shows_when_what_was_decided() -> None:
    gates = GateDistribution(TrioClock(NOW_MS))
    gates.decided([CLOSE])
    await trio.sleep(10)
    gates.decided([NO_POSITION])
    gates.decided([MALFORMED])
    steps = gates.history(5, 60)
    assert (steps[-3].allowed, steps[-3].denied) == ({"sanity_checks_passed": 1}, {})
    assert (steps[-1].allowed, steps[-1].denied) == ({}, {"no_position": 1, "malformed_plan": 1})
    assert not any(step.allowed or step.denied for step in (*steps[:-3], steps[-2]))
