"""One order a plan: its permits are consumed with its record, or nothing happens."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import pytest

from brain.identifiers import ClientOrderId, PlanId
from store.errors import StoreRefusedError, StoreUnavailableError
from store.execution_records import BeginReply, Switches
from store.execution_values import encode_record
from tests.store.backends import KEYS, Backend, MemoryBackend, RedisBackend, everything
from tests.store.executions import (
    ALLOW,
    CLIENT,
    EXECUTOR,
    GOVERNOR_KEY,
    GRANT,
    NO_SWITCHES,
    P33_KEY,
    PLAN,
    RECORD,
    SYMBOL,
    begin,
    begun,
    filled,
    permit,
    record,
    refusal,
)

_CONSUME = files("permit_gate").joinpath("consume.lua").read_text(encoding="utf-8")


async def test_a_begin_consumes_both_permits_and_writes_the_record(leased: Backend) -> None:
    permit(leased)
    assert await begun(leased, audit=("step", "begin")) == BeginReply("begun")
    outside = leased.outside
    assert [outside.get(key) for key in (GOVERNOR_KEY, P33_KEY)] == [None, None]
    assert outside.get(KEYS.permit_consumer(PLAN)) == b"executor"
    flat = [text.encode() for text in encode_record(RECORD)]
    assert outside.hgetall(EXECUTOR.order(PLAN)) == dict(zip(flat[::2], flat[1::2], strict=True))
    assert outside.zrange(EXECUTOR.open) == [PLAN.encode()]
    assert [fields for _, fields in outside.xrange(EXECUTOR.audit)] == [{b"step": b"begin"}]
    assert await leased.store.order_record(PLAN) == RECORD
    assert await leased.store.plan_of(CLIENT) == PLAN


async def test_the_mark_lives_as_long_as_the_gates_and_the_record_for_a_week(leased: Backend) -> None:
    permit(leased)
    await begun(leased)
    for key, life_ms in {
        KEYS.permit_consumer(PLAN): 3_600_000,
        EXECUTOR.order(PLAN): 604_800_000,
        EXECUTOR.plan_of(CLIENT): 604_800_000,
    }.items():
        assert life_ms - 5_000 < leased.outside.pttl(key) <= life_ms
    assert leased.outside.pttl(EXECUTOR.open) == -1


async def test_the_stored_fields_are_those_of_the_contract(leased: Backend) -> None:
    permit(leased)
    await begun(leased)
    assert leased.outside.hgetall(EXECUTOR.order(PLAN)) == {
        b"state": b"sending", b"symbol": b"BTCUSDT", b"side": b"BUY", b"position_side": b"BOTH",
        b"kind": b"open", b"quantity": b"0.5", b"reduce_only": b"false", b"client_order_id": CLIENT.encode(),
        b"timestamp_ms": b"1760000000500", b"recv_window_ms": b"3000", b"order_id": b"", b"status": b"",
        b"cumulative": b"0", b"avg_price": b"", b"published_cumulative": b"", b"error": b"",
        b"decision": b"EXECUTE", b"action": b"ENTRY_PROPOSED", b"source": b"intent_bridge",
        b"instance": b"first", b"stream": b"q:stream:apply.plan", b"entry_id": b"1-0", b"version": b"1",
    }  # fmt: skip


@pytest.mark.parametrize("state", ["sending", "final", "refused"])
async def test_permits_that_were_restored_begin_no_second_order(leased: Backend, state: str) -> None:
    permit(leased)
    if state == "refused":
        await leased.store.refuse_plan(leased.fence, refusal())
    else:
        await begun(leased)
    if state == "final":
        assert await leased.store.record_progress(leased.fence, filled())
    # Long after: the gate's mark has ended, and the permits are those of before.
    leased.outside.delete(KEYS.permit_consumer(PLAN))
    permit(leased)
    before = everything(leased.outside)
    assert await begun(leased) == BeginReply("exists")
    assert everything(leased.outside) == before


@pytest.mark.parametrize("verdict", ["expired", "late", "too_old"])
async def test_a_begin_that_comes_too_late_writes_nothing_and_says_by_how_much(
    leased: Backend, verdict: str
) -> None:
    now_ms = await leased.store.redis_now_ms()
    changes: dict[str, Any] = {
        "expired": {"plan_max_age_ms": 999},
        "late": {"deadline_ms": now_ms - 1000},
        "too_old": {"permit_max_age_ms": 999},
    }[verdict]
    permit(leased)
    asked = await begin(
        leased,
        permits=((GOVERNOR_KEY, GRANT, None), (P33_KEY, ALLOW, now_ms - 1000)),
        published_ms=now_ms - 1000,
        **changes,
    )
    before = everything(leased.outside)
    reply = await leased.store.begin_order(leased.fence, asked)
    assert (reply.verdict, reply.permit) == (verdict, 1 if verdict == "too_old" else 0)
    assert 1000 <= int(reply.value) < 6000
    assert everything(leased.outside) == before


async def test_each_limit_is_met_where_its_number_is_reached(memory: MemoryBackend) -> None:
    await memory.take_lease()
    permit(memory)
    now_ms = await memory.store.redis_now_ms()
    asked = await begin(
        memory, permits=((P33_KEY, ALLOW, now_ms),), permit_max_age_ms=100, plan_max_age_ms=100,
        deadline_ms=now_ms + 100,
    )  # fmt: skip
    await memory.pass_ms(100)
    assert await memory.store.begin_order(memory.fence, asked) == BeginReply("begun")


async def test_a_permit_from_the_future_is_kept(leased: Backend) -> None:
    permit(leased)
    now_ms = await leased.store.redis_now_ms()
    before = everything(leased.outside)
    reply = await begun(leased, permits=((GOVERNOR_KEY, GRANT, None), (P33_KEY, ALLOW, now_ms + 60_000)))
    assert (reply.verdict, reply.permit) == ("from_the_future", 1)
    assert 50_000 < int(reply.value) <= 60_000
    assert everything(leased.outside) == before


@pytest.mark.parametrize("key", [GOVERNOR_KEY, P33_KEY])
@pytest.mark.parametrize("now", ["gone", "another", "of a wrong type"])
async def test_a_permit_that_is_not_the_verified_one_consumes_neither(
    leased: Backend, key: str, now: str
) -> None:
    permit(leased)
    leased.outside.delete(key)
    if now == "another":
        leased.outside.set(key, '{"granted":false}')
    elif now == "of a wrong type":
        leased.outside.hset(key, {"granted": "true"})
    before = everything(leased.outside)
    assert await begun(leased) == BeginReply("changed")
    assert everything(leased.outside) == before


async def test_a_hold_stops_all_but_a_reconcile_close(leased: Backend) -> None:
    permit(leased)
    leased.outside.hset(KEYS.hold(SYMBOL), {"of a wrong": "type"})
    before = everything(leased.outside)
    assert await begun(leased) == BeginReply("hold")
    assert everything(leased.outside) == before
    assert await begun(leased, ignores_hold=True) == BeginReply("begun")


SWITCHES: dict[str, tuple[Switches, Switches]] = {
    "trading_state": (NO_SWITCHES, NO_SWITCHES._replace(trading_state=b"HALTED")),
    "kill": (NO_SWITCHES, NO_SWITCHES._replace(kill=b"1")),
    "global_kill": (NO_SWITCHES._replace(global_kill=b"no"), NO_SWITCHES._replace(global_kill=b"yes")),
    "mode": (NO_SWITCHES._replace(mode=b"\xff\x00"), NO_SWITCHES),
    "lockdown": (NO_SWITCHES, NO_SWITCHES._replace(lockdown=True)),
}


def switch(backend: Backend, switches: Switches) -> None:
    for key, value in zip((*EXECUTOR.switches, EXECUTOR.lockdown), switches, strict=True):
        backend.outside.delete(key)
        if value is not None and value is not False:
            backend.outside.set(key, b"x" if value is True else value)


@pytest.mark.parametrize("name", SWITCHES)
async def test_a_switch_that_was_turned_since_begins_nothing(leased: Backend, name: str) -> None:
    permit(leased)
    assumed, now = SWITCHES[name]
    switch(leased, now)
    before = everything(leased.outside)
    assert await begun(leased, switches=assumed) == BeginReply("switched")
    assert everything(leased.outside) == before
    seen = await leased.store.look_at_permits(PLAN, SYMBOL, [])
    assert seen.switches == now
    assert await begun(leased, switches=seen.switches) == BeginReply("begun")


async def test_a_look_shows_all_that_decides_on_a_plan(leased: Backend) -> None:
    nothing = await leased.store.look_at_permits(PLAN, SYMBOL, [GOVERNOR_KEY, P33_KEY])
    assert nothing == (None, (None, None), None, False, NO_SWITCHES)
    leased.outside.set(P33_KEY, ALLOW)
    leased.outside.hset(GOVERNOR_KEY, {"granted": "true"})
    leased.outside.set(EXECUTOR.block(PLAN), '{"reason":"symbol_cooldown"}')
    leased.outside.set(KEYS.permit_consumer(PLAN), "x")
    leased.outside.hset(KEYS.hold(SYMBOL), {"a": "b"})
    leased.outside.hset(EXECUTOR.kill, {"a": "b"})
    seen = await leased.store.look_at_permits(PLAN, SYMBOL, [GOVERNOR_KEY, P33_KEY])
    switches = NO_SWITCHES._replace(kill=b"!")
    assert seen == (b"x", (b"!", ALLOW), b'{"reason":"symbol_cooldown"}', True, switches)


@pytest.mark.parametrize("key", [EXECUTOR.open, EXECUTOR.audit, KEYS.results, *EXECUTOR.plans[::3]])
async def test_a_key_of_a_wrong_type_begins_nothing(leased: Backend, key: str) -> None:
    permit(leased)
    leased.outside.hset(key, {"a": "b"})
    before = everything(leased.outside)
    with pytest.raises(StoreRefusedError):
        await begun(leased)
    assert everything(leased.outside) == before


async def test_the_gate_and_the_executor_exclude_each_other(real: RedisBackend) -> None:
    await real.take_lease()

    def consume(mark: str) -> list[bytes]:
        keys = (KEYS.permit_consumer(PLAN), KEYS.hold(SYMBOL), GOVERNOR_KEY, P33_KEY)
        said: list[bytes] = real.plain.call(
            "EVAL", _CONSUME, 4, *keys, mark, 3_600_000, "1", 60_000, 5_000, GRANT, "", ALLOW, ""
        )
        return said

    permit(real)
    assert consume("apply_layer") == [b"consumed"]
    permit(real)
    assert await begun(real) == BeginReply("exists", "apply_layer")
    real.outside.flushall()
    await real.take_lease()
    permit(real)
    assert await begun(real) == BeginReply("begun")
    permit(real)
    assert consume("apply_layer") == [b"consumed_before", b"executor"]


async def test_no_order_begins_where_connections_were_lost_since_the_run_was_compared(
    real: RedisBackend,
) -> None:
    await real.take_lease()
    permit(real)
    await real.store.execution_run(None)
    real.plain.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    asked = None
    while asked is None:
        try:
            asked = await begin(real)
        except StoreUnavailableError:
            continue
    # The evaluator's comparison is not the executor's.
    await real.store.redis_run(None)
    before = everything(real.outside)
    with pytest.raises(StoreUnavailableError, match="since its run was compared"):
        await real.store.begin_order(real.fence, asked)
    assert everything(real.outside) == before
    await real.store.execution_run(None)
    assert await real.store.begin_order(real.fence, asked) == BeginReply("begun")


async def test_no_order_begins_on_another_run_of_the_twin_before_it_is_compared(
    memory: MemoryBackend,
) -> None:
    await memory.take_lease()
    permit(memory)
    await memory.store.execution_run(None)
    memory.redis.restart()
    with pytest.raises(StoreUnavailableError, match="since its run was compared"):
        await begun(memory)
    run = await memory.store.execution_run("another")
    assert run.changed_ms == run.now_ms
    assert await begun(memory) == BeginReply("begun")


async def test_plan_ids_of_any_printable_text_begin_their_own_order(leased: Backend) -> None:
    for number, plan_id in enumerate(("a:b", "%d%%", "x\"'y", "[^a]*", "a b")):
        key = f"q:permit:{plan_id}"
        leased.outside.set(key, GRANT)
        first = record(plan_id=PlanId(plan_id), client_order_id=ClientOrderId(f"p33-{number}"))
        assert await begun(leased, record=first, permits=((key, GRANT, None),)) == BeginReply("begun")
        assert await leased.store.order_record(PlanId(plan_id)) == first
    assert len((await leased.store.open_orders()).records) == 5
