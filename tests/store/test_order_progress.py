"""An order is published once: result, record, cooldown and acknowledgement in one step."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from decimal import Decimal

import pytest

from brain.execution.record import OrderPhase
from brain.identifiers import EntryId, PlanId, Symbol
from store.errors import StoreRefusedError
from store.execution_records import BeginReply
from tests.store.backends import KEYS, Backend, MemoryBackend, everything, fill_stream, pending
from tests.store.executions import (
    CLIENT,
    EXECUTOR,
    ORDER,
    PLAN,
    REFUSAL,
    RESULT,
    SYMBOL,
    begin_delivered,
    begun,
    deliver,
    filled,
    permit,
    progress,
    record,
    refusal,
)

GROUP = EXECUTOR.plans.group


async def test_a_filled_order_is_told_and_ends(leased: Backend) -> None:
    entry_id = await begin_delivered(leased)
    step = progress(
        2, result=RESULT, entry_id=entry_id, phase=OrderPhase.FINAL, order_id=ORDER, status="FILLED",
        cumulative=Decimal("0.5"), average_price=Decimal("64000.10"), published_cumulative=Decimal("0.5"),
    )  # fmt: skip
    assert await leased.store.record_progress(leased.fence, step)
    assert await leased.store.order_record(PLAN) == step.record
    assert leased.outside.zrange(EXECUTOR.open) == []
    assert await leased.store.open_orders() == ([], [])
    ((_, published),) = leased.outside.xrange(KEYS.results)
    assert published == {
        b"event_type": b"apply.result",
        b"plan_id": b"plan-1",
        b"executed": b"true",
        b"filled_qty": b"0.5",
    }
    assert leased.outside.get(KEYS.cooldown(SYMBOL)) == b"1760000000600"
    assert 3_595_000 < leased.outside.pttl(KEYS.cooldown(SYMBOL)) <= 3_600_000
    assert pending(leased.outside, KEYS.plans, GROUP) == {}


async def test_a_step_that_is_repeated_tells_nothing_twice(leased: Backend) -> None:
    await begin_delivered(leased)
    assert await leased.store.record_progress(leased.fence, filled())
    before = everything(leased.outside)
    assert not await leased.store.record_progress(leased.fence, filled())
    assert everything(leased.outside) == before


async def test_of_two_that_follow_one_order_the_second_writes_nothing(leased: Backend) -> None:
    await begin_delivered(leased)
    assert await leased.store.record_progress(leased.fence, progress(2, phase=OrderPhase.UNKNOWN))
    before = everything(leased.outside)
    assert not await leased.store.record_progress(leased.fence, filled(2))
    assert not await leased.store.record_progress(leased.fence, filled(4))
    assert everything(leased.outside) == before
    assert await leased.store.record_progress(leased.fence, filled(3))


async def test_a_growth_is_told_while_the_order_and_its_plan_stay_open(leased: Backend) -> None:
    entry_id = await begin_delivered(leased)
    step = progress(2, result=RESULT, phase=OrderPhase.WORKING, cumulative=Decimal("0.1"))
    assert await leased.store.record_progress(leased.fence, step)
    assert await leased.store.open_orders() == ([step.record], [])
    assert leased.outside.xlen(KEYS.results) == 1
    assert list(pending(leased.outside, KEYS.plans, GROUP)) == [entry_id]


async def test_a_step_without_a_result_sets_no_cooldown_and_is_audited(leased: Backend) -> None:
    await begin_delivered(leased)
    step = progress(2, phase=OrderPhase.UNKNOWN)
    assert await leased.store.record_progress(
        leased.fence, type(step)(record=step.record, result=(), cooldown_ms=None, audit=("step", "answer"))
    )
    assert leased.outside.kind(KEYS.results) == "none"
    assert leased.outside.kind(KEYS.cooldown(SYMBOL)) == "none"
    assert [fields for _, fields in leased.outside.xrange(EXECUTOR.audit)] == [{b"step": b"answer"}]


async def test_an_order_that_turns_up_late_is_followed_again(leased: Backend) -> None:
    await begin_delivered(leased)
    await leased.store.record_progress(leased.fence, filled(2))
    late = progress(3, phase=OrderPhase.WORKING, status="PARTIALLY_FILLED")
    assert await leased.store.record_progress(leased.fence, late)
    assert (await leased.store.open_orders()).records == [late.record]


async def test_a_step_of_a_record_that_was_lost_writes_nothing(leased: Backend) -> None:
    before = everything(leased.outside)
    assert not await leased.store.record_progress(leased.fence, filled())
    leased.outside.hset(EXECUTOR.order(PLAN), {"version": "1.0"})
    assert not await leased.store.record_progress(leased.fence, filled())
    leased.outside.delete(EXECUTOR.order(PLAN))
    assert everything(leased.outside) == before


async def test_open_orders_are_listed_by_the_time_of_their_request(leased: Backend) -> None:
    for number, timestamp_ms in enumerate((30, 10, 20)):
        first = record(plan_id=PlanId(f"plan-{number}"), timestamp_ms=timestamp_ms)
        assert await begun(leased, record=first, permits=()) == BeginReply("begun")
    found = (await leased.store.open_orders()).records
    assert [each.plan_id for each in found] == ["plan-1", "plan-2", "plan-0"]


async def test_a_refused_plan_gets_its_result_its_record_and_its_acknowledgement(leased: Backend) -> None:
    (entry_id,) = await deliver(leased, PLAN)
    assert await leased.store.refuse_plan(leased.fence, refusal(entry_id=entry_id, audit=("step", "refuse")))
    ((_, published),) = leased.outside.xrange(KEYS.results)
    assert published[b"error"] == b"permit_timeout (missing: Governor)"
    assert pending(leased.outside, KEYS.plans, GROUP) == {}
    assert leased.outside.hgetall(EXECUTOR.order(PLAN)) == {
        b"state": b"final", b"symbol": b"BTCUSDT", b"error": b"permit_timeout (missing: Governor)",
        b"stream": b"q:stream:apply.plan", b"entry_id": entry_id.encode(), b"version": b"1",
    }  # fmt: skip
    assert 86_300_000 < leased.outside.pttl(EXECUTOR.order(PLAN)) <= 86_400_000
    kept = await leased.store.order_record(PLAN)
    assert kept is not None
    assert kept.phase is OrderPhase.FINAL
    assert kept.error == REFUSAL.error
    assert kept.client_order_id == ""
    assert kept.quantity == 0
    assert leased.outside.kind(EXECUTOR.open) == "none"
    assert leased.outside.kind(KEYS.cooldown(SYMBOL)) == "none"
    assert leased.outside.xlen(EXECUTOR.audit) == 1


async def test_a_plan_whose_symbol_cannot_be_read_is_refused_all_the_same(leased: Backend) -> None:
    assert await leased.store.refuse_plan(leased.fence, refusal(symbol=""))
    kept = await leased.store.order_record(PLAN)
    assert kept is not None
    assert kept.symbol == ""


@pytest.mark.parametrize("order", ["refused", "sending", "unreadable"])
async def test_a_second_refusal_is_not_told_of_and_acknowledged_where_the_plan_is_over(
    leased: Backend, order: str
) -> None:
    _, second = await deliver(leased, PLAN, PLAN)
    if order == "refused":
        await leased.store.refuse_plan(leased.fence, refusal())
    elif order == "sending":
        permit(leased)
        await begun(leased)
    else:
        leased.outside.hset(EXECUTOR.order(PLAN), {"junk": "1"})
    results, kept = leased.outside.xlen(KEYS.results), leased.outside.hgetall(EXECUTOR.order(PLAN))
    assert not await leased.store.refuse_plan(leased.fence, refusal(entry_id=second))
    assert (second in pending(leased.outside, KEYS.plans, GROUP)) == (order != "refused")
    assert leased.outside.xlen(KEYS.results) == results
    assert leased.outside.hgetall(EXECUTOR.order(PLAN)) == kept


async def test_a_plan_that_failed_is_a_dead_letter_of_its_stream_with_its_refusal(leased: Backend) -> None:
    stream = leased.store.manual_plans.stream
    (entry_id,) = await deliver(leased, PLAN, manual=True)
    dead = ("entry_id", entry_id, "error", "evaluation_failed")
    failed = refusal(stream=stream, entry_id=entry_id, error="evaluation_failed", dead_fields=dead)
    assert await leased.store.refuse_plan(leased.fence, failed)
    assert not await leased.store.refuse_plan(leased.fence, failed)
    ((_, letter),) = leased.outside.xrange(f"{stream}.dead")
    assert letter == {b"entry_id": entry_id.encode(), b"error": b"evaluation_failed"}
    assert leased.outside.xlen(KEYS.results) == 1


async def test_the_executor_leaves_the_entries_of_other_groups_alone(leased: Backend) -> None:
    await leased.store.plans.create(lost=False)
    await leased.store.dry_runs.create(lost=False)
    (entry_id,) = await deliver(leased, PLAN)
    for group in (leased.store.plans, leased.store.dry_runs):
        await group.read_new(count=1, block_ms=0)
    await leased.store.refuse_plan(leased.fence, refusal(entry_id=entry_id))
    assert list(pending(leased.outside, KEYS.plans)) == [entry_id]
    assert list(pending(leased.outside, KEYS.plans, EXECUTOR.dry_runs.group)) == [entry_id]


async def test_a_manual_plan_is_acknowledged_in_its_own_group(leased: Backend) -> None:
    (manual,) = await deliver(leased, PLAN, manual=True)
    (other,) = await deliver(leased, "plan-2")
    stream = leased.store.manual_plans.stream
    assert stream == "q:stream:apply.plan.manual"
    assert await leased.store.refuse_plan(leased.fence, refusal(stream=stream, entry_id=manual))
    assert pending(leased.outside, stream, "intent_executor_manual") == {}
    assert list(pending(leased.outside, KEYS.plans, GROUP)) == [other]


STEPS: dict[str, Callable[[Backend], Awaitable[object]]] = {
    "progress": lambda leased: leased.store.record_progress(leased.fence, filled()),
    "refusal": lambda leased: leased.store.refuse_plan(leased.fence, refusal(dead_fields=("a", "b"))),
}


WRITTEN = ("results", "order", "open", "audit", "plans", "last")


@pytest.mark.parametrize(
    ("name", "step"), [*((name, step) for name in WRITTEN for step in STEPS), ("dead", "refusal")]
)
async def test_a_key_of_a_wrong_type_leaves_nothing_half_told(leased: Backend, name: str, step: str) -> None:
    permit(leased)
    await begun(leased, record=record(plan_id=PlanId("plan-2")) if step == "refusal" else record())
    key = {
        "results": KEYS.results,
        "order": EXECUTOR.order(PLAN),
        "open": EXECUTOR.open,
        "audit": EXECUTOR.audit,
        "plans": KEYS.plans,
        "last": EXECUTOR.plans.last_id,
        "dead": KEYS.dead_plans,
    }[name]
    leased.outside.delete(key)
    if name == "last":
        leased.outside.hset(key, {"a": "b"})
    else:
        leased.outside.set(key, "junk")
    before = everything(leased.outside)
    with pytest.raises(StoreRefusedError):
        await STEPS[step](leased)
    assert everything(leased.outside) == before


async def test_the_results_are_bounded(leased: Backend) -> None:
    fill_stream(leased.outside, KEYS.results, 100_200)
    await leased.store.refuse_plan(leased.fence, refusal())
    assert 100_000 <= leased.outside.xlen(KEYS.results) <= 100_200


async def test_the_last_plan_passes_none_that_is_still_pending(leased: Backend) -> None:
    first, second, third = await deliver(leased, "a", "b", "c")
    last = EXECUTOR.plans.last_id
    begun = leased.outside.get(last)
    await leased.store.refuse_plan(leased.fence, refusal(plan_id=PlanId("b"), entry_id=second))
    assert leased.outside.get(last) == begun
    await leased.store.refuse_plan(leased.fence, refusal(plan_id=PlanId("a"), entry_id=first))
    assert leased.outside.get(last) == first.encode()
    await leased.store.refuse_plan(leased.fence, refusal(plan_id=PlanId("c"), entry_id=third))
    assert leased.outside.get(last) == third.encode()
    await leased.store.refuse_plan(leased.fence, refusal(plan_id=PlanId("d"), entry_id=EntryId("1-0")))
    assert leased.outside.get(last) == third.encode()


async def test_an_unreadable_last_plan_is_replaced(leased: Backend) -> None:
    (entry_id,) = await deliver(leased, PLAN)
    leased.outside.set(EXECUTOR.plans.last_id, b"\xff")
    await leased.store.refuse_plan(leased.fence, refusal(entry_id=entry_id))
    assert leased.outside.get(EXECUTOR.plans.last_id) == entry_id.encode()


async def test_a_record_that_is_written_anew_is_found_by_its_client_order_id(leased: Backend) -> None:
    await begin_delivered(leased)
    for key in (EXECUTOR.order(PLAN), EXECUTOR.plan_of(CLIENT)):
        leased.outside.delete(key)
    assert await leased.store.record_progress(leased.fence, progress(1, phase=OrderPhase.WORKING))
    assert await leased.store.plan_of(CLIENT) == PLAN
    assert 604_700_000 < leased.outside.pttl(EXECUTOR.plan_of(CLIENT)) <= 604_800_000


async def test_a_record_lives_on_from_each_step(memory: MemoryBackend) -> None:
    await memory.take_lease()
    await begin_delivered(memory)
    await memory.pass_ms(500_000_000)
    await memory.take_lease()
    assert await memory.store.record_progress(memory.fence, progress(2, phase=OrderPhase.WORKING))
    assert memory.outside.pttl(EXECUTOR.order(PLAN)) == 604_800_000
    assert memory.outside.pttl(EXECUTOR.plan_of(CLIENT)) == 604_800_000


async def test_a_step_of_an_unknown_stream_is_no_step(leased: Backend) -> None:
    with pytest.raises(ValueError, match="reads no plans from"):
        await leased.store.refuse_plan(leased.fence, refusal(stream="q:stream:another"))


async def test_symbols_of_other_scripts_have_their_cooldown(leased: Backend) -> None:
    symbol = Symbol("币安人生USDT")
    permit(leased)
    await begun(leased, record=record(symbol=symbol))
    assert await leased.store.record_progress(
        leased.fence, progress(2, result=RESULT, phase=OrderPhase.FINAL, symbol=symbol)
    )
    assert leased.outside.get(KEYS.cooldown(symbol)) == b"1760000000600"
    kept = await leased.store.order_record(PLAN)
    assert kept is not None
    assert kept.symbol == symbol
