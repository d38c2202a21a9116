"""Judgements of the Governor, each written whole on the state it rests on, or not at all."""

from __future__ import annotations

import json

import msgspec
import pytest

from brain.governor.grant_window import GrantWindow
from brain.identifiers import EntryId, PlanId
from store.governor_records import Granted
from store.keys import ExecutorKeys
from tests.store.backends import KEYS, Backend, everything
from tests.store.governed import (
    DISARM,
    GOVERNOR,
    HOUR_MS,
    PERMIT,
    PLAN,
    SHADOW,
    SYMBOL,
    TRADING_STATE,
    basis,
    date_of,
    deliver,
    free,
    granted,
    granted_now,
    judged,
    refused,
    reservation,
    state_of,
)

_DAY_MS = 24 * HOUR_MS
_EXECUTOR = ExecutorKeys(KEYS)


async def test_a_grant_is_counted_everywhere_and_the_permit_written(leased: Backend) -> None:
    (entry_id,) = await deliver(leased, PLAN)
    before = await state_of(leased)
    reply = await judged(leased, granted(before, entry_id=entry_id))
    assert reply.verdicts == ("committed",)
    outside, now_ms = leased.outside, before.now_ms
    text = reservation(SYMBOL, now_ms).encode()
    after = await state_of(leased)
    assert after.account.version == f"after-{PLAN}"
    assert after.account.reserved == {PLAN: text}
    found = after.symbols[SYMBOL]
    assert list(found.window) == [now_ms]
    assert found.opened == outside.get(GOVERNOR.opened(SYMBOL, date_of(now_ms))) == b"100"
    assert found.last_exec == str(now_ms // 1000).encode()
    assert found.entry == (b"1", b"0.5", b"0", str(now_ms).encode())
    assert outside.hgetall(GOVERNOR.kill_stats(SYMBOL))[b"v"] == b"1"
    assert outside.lrange(GOVERNOR.executions(SYMBOL)) == [str(now_ms // 1000).encode()]
    assert outside.get(GOVERNOR.permit(PLAN)) == PERMIT.encode()
    assert outside.get(GOVERNOR.plan_mark(PLAN)) == b"granted"
    assert outside.get(GOVERNOR.block(PLAN)) is None
    assert outside.xpending(GOVERNOR.plans.key, "governor") == {}
    assert outside.get(GOVERNOR.plans.last_id) == entry_id.encode()
    assert [fields for _, fields in outside.xrange(GOVERNOR.audit)] == [
        {b"plan_id": b"gov-1", b"granted": b"true"}
    ]


async def test_each_key_lives_as_long_as_the_contract_says(leased: Backend) -> None:
    state = await state_of(leased)
    both = granted(
        state, block="{}", disarm=DISARM,
        granted=Granted(
            reservation="{}", granted_ms=state.now_ms, counts=True, opened="1", reduced="2", last_exec_sec="3"
        ),
    )  # fmt: skip
    await judged(leased, both)
    date = date_of(state.now_ms)
    for key, life_ms in {
        GOVERNOR.permit(PLAN): 60_000,
        GOVERNOR.block(PLAN): HOUR_MS,
        GOVERNOR.plan_mark(PLAN): 120_000,
        GOVERNOR.executions(SYMBOL): _DAY_MS,
        GOVERNOR.window(SYMBOL): 25 * HOUR_MS,
        GOVERNOR.opened(SYMBOL, date): 2 * _DAY_MS,
        GOVERNOR.reduced(SYMBOL, date): 2 * _DAY_MS,
        GOVERNOR.last_exec(SYMBOL): HOUR_MS,
        GOVERNOR.kill_stats(SYMBOL): 7 * _DAY_MS,
        GOVERNOR.disarm(date): _DAY_MS,
    }.items():
        assert life_ms - 10_000 < leased.outside.pttl(key) <= life_ms, key
    for key in (GOVERNOR.reserved, GOVERNOR.version, TRADING_STATE, GOVERNOR.plans.last_id):
        assert leased.outside.pttl(key) == -1, key


async def test_a_refusal_writes_denial_and_block_and_counts_nothing(leased: Backend) -> None:
    before = await granted_now(leased, PlanId("gov-0"))
    assert (await judged(leased, refused(before))).verdicts == ("committed",)
    assert leased.outside.get(GOVERNOR.permit(PLAN)) == b'{"granted":false}'
    assert leased.outside.get(GOVERNOR.block(PLAN)) == b'{"reason":"symbol_cooldown"}'
    after = await state_of(leased)
    assert (after.account, after.symbols) == (before.account, before.symbols)


async def test_a_judgement_that_rests_on_no_state_is_written_on_any(leased: Backend) -> None:
    leased.outside.set(TRADING_STATE, "HALTED")
    assert (await judged(leased, free())).verdicts == ("committed",)
    assert leased.outside.get(GOVERNOR.plan_mark(PLAN)) == b"refused"
    assert [fields for _, fields in leased.outside.xrange(KEYS.dead_plans)] == [
        {b"error": b"evaluation_failed"}
    ]
    assert [fields[b"event"] for _, fields in leased.outside.xrange(GOVERNOR.events)] == [b"KILL_STATS_RESET"]


async def test_a_plan_with_a_mark_is_acknowledged_and_changes_nothing_else(leased: Backend) -> None:
    first, second = await deliver(leased, PLAN, PLAN)
    state = await state_of(leased)
    both = (granted(state, entry_id=first), granted(state, entry_id=second, version="another"))
    assert (await judged(leased, *both)).verdicts == ("committed", "decided")
    leased.outside.delete(GOVERNOR.permit(PLAN))
    before = everything(leased.outside)
    assert (await judged(leased, granted(await state_of(leased), entry_id=second))).verdicts == ("decided",)
    assert everything(leased.outside) == before
    assert leased.outside.xpending(GOVERNOR.plans.key, "governor") == {}
    assert leased.outside.get(GOVERNOR.plans.last_id) == second.encode()


async def test_an_observation_decides_no_judgement_behind_it(leased: Backend) -> None:
    first, again, late, last = await deliver(leased, PLAN, PLAN, PLAN, PLAN)
    seen = free(entry_id=first, mark="observed", permit="", block="", audit=(), dead_fields=(), events=())
    twice = msgspec.structs.replace(seen, entry_id=again)
    one = granted(await state_of(leased), entry_id=late)
    assert (await judged(leased, seen, twice, one)).verdicts == ("committed", "decided", "observed")
    assert leased.outside.get(GOVERNOR.permit(PLAN)) is None
    assert list(leased.outside.xpending(GOVERNOR.plans.key, "governor")) == [late, last]
    known = msgspec.structs.replace(one, stats=(), was_observed=True)
    behind = msgspec.structs.replace(twice, entry_id=last)
    assert (await judged(leased, known, behind)).verdicts == ("committed", "decided")
    assert leased.outside.get(GOVERNOR.plan_mark(PLAN)) == b"granted"
    assert leased.outside.get(GOVERNOR.permit(PLAN)) == PERMIT.encode()
    assert leased.outside.xpending(GOVERNOR.plans.key, "governor") == {}


async def test_a_batch_stops_at_the_first_whose_basis_has_changed(leased: Backend) -> None:
    ids = await deliver(leased, "a", "b", "c")
    state = await state_of(leased)
    plans = [
        granted(state, PlanId(name), entry_id=entry_id, stats=())
        for name, entry_id in zip("abc", ids, strict=True)
    ]
    assert (await judged(leased, *plans)).verdicts == ("committed", "changed")
    assert [leased.outside.get(GOVERNOR.permit(name)) for name in "abc"] == [PERMIT.encode(), None, None]
    assert list(leased.outside.xpending(GOVERNOR.plans.key, "governor")) == ids[1:]


async def test_a_batch_goes_on_where_each_rests_on_what_the_one_before_leaves(leased: Backend) -> None:
    state = await state_of(leased)
    first = granted(state, PlanId("a"), stats=())
    second = msgspec.structs.replace(
        granted(state, PlanId("b"), stats=()),
        basis=msgspec.structs.replace(
            basis(state),
            account=state.account._replace(version="after-a"),
            grants=1,
            symbol=state.symbols[SYMBOL]._replace(
                window=GrantWindow([state.now_ms]),
                opened=b"100",
                last_exec=str(state.now_ms // 1000).encode(),
            ),
        ),
    )
    assert (await judged(leased, first, second)).verdicts == ("committed", "committed")
    after = await state_of(leased)
    assert set(after.account.reserved) == {"a", "b"}
    assert list(after.symbols[SYMBOL].window) == [state.now_ms, state.now_ms]


async def test_a_window_holds_25_hours_and_its_list_the_newest_hundred(leased: Backend) -> None:
    now_ms = (await state_of(leased)).now_ms
    scores = {f"old-{n}": float(now_ms - n * 60_000) for n in range(1, 130)}
    leased.outside.zadd(GOVERNOR.window(SYMBOL), {"ancient": now_ms - 26 * HOUR_MS, **scores})
    state = await state_of(leased)
    assert (await judged(leased, granted(state))).verdicts == ("committed",)
    assert b"ancient" not in leased.outside.zrange(GOVERNOR.window(SYMBOL))
    assert len(leased.outside.zrange(GOVERNOR.window(SYMBOL))) == 130
    listed = leased.outside.lrange(GOVERNOR.executions(SYMBOL))
    assert len(listed) == 100
    assert [int(text) for text in listed[:2]] == [state.now_ms // 1000, (now_ms - 60_000) // 1000]


async def test_a_score_above_every_time_counts_nowhere(leased: Backend) -> None:
    leased.outside.zadd(GOVERNOR.window(SYMBOL), {"junk": float("inf"), "far": 1e15})
    state = await state_of(leased)
    assert len(state.symbols[SYMBOL].window) == 0
    assert (await judged(leased, granted(state))).verdicts == ("committed",)
    assert len(leased.outside.lrange(GOVERNOR.executions(SYMBOL))) == 1


async def test_an_auto_disarm_reduces_once_a_day_and_leaves_the_rest_of_its_batch(leased: Backend) -> None:
    state = await state_of(leased)
    first = refused(state, disarm=DISARM)
    assert (await judged(leased, first, refused(state, PlanId("gov-2")))).verdicts == (
        "committed", "changed",
    )  # fmt: skip
    assert leased.outside.get(TRADING_STATE) == b"REDUCING"
    ((_, event),) = leased.outside.xrange(GOVERNOR.events)
    assert event.items() >= {
        b"event": b"AUTO_DISARM", b"reason": b"burst_limit_breach", b"context": b'{"symbol":"BTCUSDT"}',
        b"action_taken": b"trading_state=REDUCING",
    }.items()  # fmt: skip
    mark = leased.outside.get(GOVERNOR.disarm(date_of(state.now_ms)))
    assert mark is not None
    assert json.loads(mark).items() >= {
        "reason": "burst_limit_breach", "context": {"symbol": "BTCUSDT"},
    }.items()  # fmt: skip
    assert abs(json.loads(mark)["timestamp"] - state.now_ms / 1000) < 60
    leased.outside.set(TRADING_STATE, "ACTIVE")
    again = refused(await state_of(leased), PlanId("gov-3"), disarm=DISARM)
    assert (await judged(leased, again)).verdicts == ("committed",)
    assert leased.outside.get(TRADING_STATE) == b"ACTIVE"
    assert leased.outside.xlen(GOVERNOR.events) == 1


@pytest.mark.parametrize("text", [b"HALTED", b"\xff", b"", b"REDUCING"])
async def test_an_auto_disarm_never_loosens_a_state(leased: Backend, text: bytes) -> None:
    leased.outside.set(TRADING_STATE, text)
    state = await state_of(leased)
    assert (await judged(leased, refused(state, disarm=DISARM))).verdicts == ("committed",)
    assert leased.outside.get(TRADING_STATE) == text
    ((_, event),) = leased.outside.xrange(GOVERNOR.events)
    assert event[b"action_taken"] == b"none"


async def test_statistics_are_written_apart_and_an_empty_text_removes_its_field(leased: Backend) -> None:
    leased.outside.hset(GOVERNOR.kill_stats(SYMBOL), {"exit_blocked_since": "1", "entry_n": "7"})
    state = await state_of(leased)
    stats = ("exit", "1", "0.25", "0", "1760000000000", "")
    assert (await judged(leased, refused(state, stats=stats, version="v"))).verdicts == ("committed",)
    found = (await state_of(leased)).symbols[SYMBOL]
    assert found.entry == (b"7", None, None, None)
    assert found.exit == (b"1", b"0.25", b"0", b"1760000000000", None)


async def test_statistics_of_a_wrong_type_are_read_as_such_and_begun_again(leased: Backend) -> None:
    leased.outside.set(GOVERNOR.kill_stats(SYMBOL), "junk")
    state = await state_of(leased)
    assert state.symbols[SYMBOL].entry == (b"!",) * 4
    assert (await judged(leased, granted(state))).verdicts == ("committed",)
    assert (await state_of(leased)).symbols[SYMBOL].entry[0] == b"1"


async def test_the_shadow_writes_no_key_that_another_reads(leased: Backend) -> None:
    shadow = leased.another_store("first", governor_shadow=True)
    leased.outside.set(TRADING_STATE, "ACTIVE")
    state = await shadow.governor_state([SYMBOL])
    assert state.account.switches.trading_state == b"ACTIVE"
    before = set(leased.outside.keys())
    full = granted(state, block="{}", disarm=DISARM, dead_fields=("error", "x"))
    assert (await judged(leased, full, by=shadow)).verdicts == ("committed",)
    written = set(leased.outside.keys()) - before
    assert all(key.startswith("q:governor:shadow:") for key in written)
    assert leased.outside.get(TRADING_STATE) == b"ACTIVE"
    assert leased.outside.hgetall(SHADOW.reserved).keys() == {PLAN.encode()}
    groups = (shadow.judged_plans.group, shadow.settled_results.group)
    assert groups == ("governor_shadow", "governor_result_monitor_shadow")
    assert (await state_of(leased)).account.reserved == {}


async def test_a_grant_without_a_state_is_no_judgement(leased: Backend) -> None:
    state = await state_of(leased)
    with pytest.raises(ValueError, match="rest on a state"):
        await judged(leased, granted(state, basis=None))
    with pytest.raises(ValueError, match="of a symbol"):
        await judged(leased, msgspec.structs.replace(granted(state), symbol=None))


@pytest.mark.parametrize("plan_id", ["a:b", "%d%%", "x\"'y", "[^a]*", "a b"])
async def test_plan_ids_of_any_printable_text_are_judged(leased: Backend, plan_id: str) -> None:
    state = await granted_now(leased, PlanId(plan_id), entry_id=EntryId("1-0"))
    assert set(state.account.reserved) == {plan_id}
    assert leased.outside.get(f"q:permit:{plan_id}") == PERMIT.encode()


async def test_plans_judged_out_of_order_leave_the_last_id_behind_all_of_them(leased: Backend) -> None:
    first, second, third = await deliver(leased, "a", "b", "c")
    begun = leased.outside.get(GOVERNOR.plans.last_id)
    plans = [free(PlanId("b"), entry_id=second), free(PlanId("a"), entry_id=first)]
    await judged(leased, plans[0])
    assert leased.outside.get(GOVERNOR.plans.last_id) == begun
    assert (await judged(leased, *plans)).verdicts == ("decided", "committed")
    assert leased.outside.get(GOVERNOR.plans.last_id) == second.encode()
    assert list(leased.outside.xpending(GOVERNOR.plans.key, "governor")) == [third]
