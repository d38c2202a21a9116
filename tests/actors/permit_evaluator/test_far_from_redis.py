"""Far from Redis more plans are read, decided and committed together, in order and as safely as few."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import ParamSpec, TypeVar

import pytest
import trio
from trio.testing import MockClock

from actors.permit_evaluator import deciding
from actors.permit_evaluator.actor import plans_at_once
from actors.permit_evaluator.plans import PendingPlan
from brain.decisions.answer import Answer
from brain.decisions.decision import decide_on
from brain.decisions.facts import Facts
from brain.plans.permit import Decision
from channels import Observe
from store.keys import Keys
from store.records import DecisionCommit
from supervision import Heartbeat
from tests.actors.evaluator_rig import SYMBOLS, EvaluatorRig, Watched, running_evaluator
from tests.background import background, count_crashes

P = ParamSpec("P")
T = TypeVar("T")

PLANS = [f"plan-{number}" for number in range(600)]


class Steps(trio.abc.Instrument):
    """Counts calls between two checkpoints of a task."""

    def __init__(self) -> None:
        self.most = Counter[str]()
        self._now = Counter[str]()

    def counted(self, name: str, call: Callable[P, T]) -> Callable[P, T]:
        def counting(*arguments: P.args, **named: P.kwargs) -> T:
            self._now[name] += 1
            return call(*arguments, **named)

        return counting

    def before_task_step(self, _task: trio.lowlevel.Task) -> None:
        self._now.clear()

    def after_task_step(self, _task: trio.lowlevel.Task) -> None:
        self.most |= self._now


async def _publish_opens_before_closes(far: EvaluatorRig) -> None:
    """Let each symbol be decided once; then publish an open of each, and a hundred closes behind them."""
    await trio.sleep(2)
    for symbol in SYMBOLS:
        far.holds(symbol, "0")
        far.publish(f"close-{symbol}", symbol)
    await trio.sleep(1)
    for symbol in SYMBOLS:
        far.publish_entry(f"open-{symbol}", symbol)
    for plan_id in PLANS[:100]:
        far.publish(plan_id)


@pytest.mark.parametrize(
    ("round_trip_ms", "plans"), [(0, 64), (1.9, 64), (2, 256), (3.9, 256), (5, 448), (6, 512), (500, 512)]
)
def test_the_batch_grows_with_the_round_trip_up_to_a_bound(round_trip_ms: float, plans: int) -> None:
    assert plans_at_once(round_trip_ms / 1000) == plans


def _far() -> EvaluatorRig:
    """Return an evaluator with Redis 7 ms away."""

    async def cross() -> None:
        await trio.sleep(0.0035)

    rig = EvaluatorRig()
    rig.store = Watched(rig.redis, keys=Keys("quantum"), consumer="me", crossing=cross)
    return rig


async def test_a_burst_of_one_symbol_is_committed_in_few_round_trips_and_in_order(
    autojump_clock: MockClock,
) -> None:
    far = _far()
    sent: list[int] = []

    async def note(decisions: Sequence[DecisionCommit]) -> None:
        sent.append(len(decisions))

    async with running_evaluator(far):
        await trio.sleep(2)
        far.holds(SYMBOLS[0], "1")
        far.store.before_commit = note
        for plan_id in PLANS:
            far.publish(plan_id, SYMBOLS[0], action="PARTIAL_50")
        await trio.sleep(2)
        assert far.audited() == PLANS
        assert far.pending() == 0
    # The first plan learns the symbol's state, and is decided again with all that came with it.
    assert sent == [1, 512, 88]


async def test_another_run_of_redis_that_is_found_while_plans_are_decided_counts_for_them(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    far = _far()
    await far.take_lease()
    evaluator = far.evaluator()
    decider = evaluator._decider

    propose, proposed = decider._propose, 0

    def find_another_run(pending: PendingPlan) -> tuple[Answer, DecisionCommit] | None:
        nonlocal proposed
        proposal, proposed = propose(pending), proposed + 1
        if proposed == 64:
            far.redis.restart()
            decider.redis_changed_ms = far.redis.now_ms()
        return proposal

    async with background(evaluator.run, Heartbeat()):
        await _publish_opens_before_closes(far)
        monkeypatch.setattr(decider, "_propose", find_another_run)
        await trio.sleep(3)
        assert {far.reason(f"open-{symbol}") for symbol in SYMBOLS} == {"recovering"}
        assert sorted(far.audited()[3:]) == sorted([*PLANS[:100], *(f"open-{each}" for each in SYMBOLS)])


@pytest.mark.parametrize("found", ["evicted keys", "lost trust"])
async def test_evictions_and_lost_trust_found_while_plans_are_decided_count_for_all_of_them(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock, found: str
) -> None:
    far = _far()
    await far.take_lease()
    evaluator = far.evaluator()
    decider = evaluator._decider
    propose, proposed = decider._propose, 0

    def find(pending: PendingPlan) -> tuple[Answer, DecisionCommit] | None:
        nonlocal proposed
        proposal, proposed = propose(pending), proposed + 1
        if proposed == 64 and found == "lost trust":
            far.book.lose_trust(far.clock.now())
        elif proposed == 64:
            far.redis.set("other", "1")
            far.redis.evict("other")
            decider.evicted_ms = far.redis.now_ms()
        return proposal

    async with background(evaluator.run, Heartbeat()):
        await _publish_opens_before_closes(far)
        monkeypatch.setattr(decider, "_propose", find)
        await trio.sleep(3)
        reason = "recovering" if found == "evicted keys" else "stale_exchange_state"
        assert {far.reason(f"open-{symbol}") for symbol in SYMBOLS} == {reason}
        assert sorted(far.audited()[3:]) == sorted([*PLANS[:100], *(f"open-{each}" for each in SYMBOLS)])


async def test_a_plan_that_fails_costs_the_plans_in_hand_beside_it_no_answer(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """Its crashes come behind hundreds of others, which are delivered again each time."""

    async def cross() -> None:
        await trio.sleep(0.0125)

    def explode(facts: Facts) -> Decision:
        if facts.plan.plan_id == "raises":
            raise ZeroDivisionError
        return decide_on(facts)

    far = EvaluatorRig()
    far.store = Watched(far.redis, keys=Keys("quantum"), consumer="me", crossing=cross)
    far.holds(SYMBOLS[0], "1000")
    monkeypatch.setattr(deciding, "decide_on", explode)
    await far.store.plans.create(lost=False)
    plans = [*PLANS[:500], "raises", *PLANS[500:]]

    async def publish() -> None:
        await trio.sleep(2)
        far.position(SYMBOLS[0], "1000")
        for plan_id in plans:
            far.publish(plan_id, SYMBOLS[0], action="PARTIAL_50", close_qty="0.001")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(publish)
        assert await count_crashes(partial(running_evaluator, far), runs=4, for_sec=6) == 3
    assert far.reason("raises") == "evaluation_failed"
    assert {far.reason(plan_id) for plan_id in PLANS} == {"sanity_checks_passed"}


async def test_the_time_of_others_between_two_slices_is_no_time_of_a_decision(
    autojump_clock: MockClock,
) -> None:
    """Here no decision takes any time, and each turn of the other task takes 10 ms."""
    far = _far()

    async def work() -> None:
        while True:
            autojump_clock.jump(0.01)
            await trio.lowlevel.checkpoint()

    async with running_evaluator(far):
        await trio.sleep(2)
        far.holds(SYMBOLS[0], "1")
        for plan_id in PLANS:
            far.publish(plan_id, SYMBOLS[0], action="PARTIAL_50")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(work)
            await trio.sleep(2)
            nursery.cancel_scope.cancel()
        assert far.audited() == PLANS
    seconds = [
        event.seconds
        for event in await far.metrics.receive_all()
        if isinstance(event, Observe) and event.name == "p33_evaluation_duration_seconds"
    ]
    assert seconds
    assert max(seconds) < 1e-9


@pytest.mark.parametrize("qty", ["", "unreadable"])
async def test_no_step_works_on_more_plans_than_take_two_milliseconds(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock, qty: str
) -> None:
    far, steps = _far(), Steps()
    await far.take_lease()
    evaluator = far.evaluator()
    decider = evaluator._decider
    for owner, name in ((evaluator, "_plan_of"), (decider._writer, "commit"), (decider._failures, "done")):
        monkeypatch.setattr(owner, name, steps.counted(name, getattr(owner, name)))
    async with background(evaluator.run, Heartbeat()):
        await trio.sleep(2)
        far.holds(SYMBOLS[0], "1")
        trio.lowlevel.add_instrument(steps)
        for plan_id in PLANS:
            far.publish(plan_id, SYMBOLS[0], action="PARTIAL_50", close_qty=qty)
        await trio.sleep(2)
        trio.lowlevel.remove_instrument(steps)
        assert far.audited() == PLANS
        assert far.pending() == 0
    assert steps.most == {"_plan_of": 16, "commit": 16, "done": 16}
