"""Answers to intents: each is written whole or not at all, once, in both stores alike."""

from __future__ import annotations

import pytest

from brain.identifiers import EntryId, FencingToken, Symbol
from brain.intents.intent import Lane
from store.bridge_records import BridgeBasis
from store.errors import FencedError, StoreRefusedError
from tests.store.backends import KEYS, Backend, RedisBackend, everything
from tests.store.bridged import (
    BRIDGE,
    FREE,
    SHADOW,
    SYMBOL,
    TTL_MS,
    deliver,
    group_of,
    outcomes,
    planned,
    plans,
    refused,
)


def pending(backend: Backend, lane: Lane = Lane.TRADE) -> list[str]:
    group = group_of(backend, lane)
    return list(backend.outside.xpending(group.stream, group.group))


async def answer(backend: Backend, *commits: object, lane: Lane = Lane.TRADE) -> tuple[str, ...]:
    reply = await backend.store.answer_intents(backend.fence, lane, commits)  # type: ignore[arg-type]
    return reply.verdicts


async def test_a_plan_its_mark_its_record_and_the_acknowledgement_are_written_together(
    leased: Backend,
) -> None:
    (entry_id,) = await deliver(leased)
    assert await answer(leased, planned(entry_id)) == ("committed",)
    assert plans(leased) == [f"plan-of-{entry_id}"]
    assert outcomes(leased) == ["plan"]
    assert pending(leased) == []
    assert leased.outside.get(BRIDGE.seen(entry_id)) == b"plan"
    assert TTL_MS - 5_000 < leased.outside.pttl(BRIDGE.seen(entry_id)) <= TTL_MS
    assert leased.outside.get(BRIDGE.trade_intents.last_id) == entry_id.encode()


async def test_an_intent_that_was_answered_is_acknowledged_and_makes_no_second_plan(
    leased: Backend,
) -> None:
    (entry_id,) = await deliver(leased)
    await answer(leased, planned(entry_id))
    leased.outside.xgroup_destroy(KEYS.intents, BRIDGE.trade_intents.group)
    leased.outside.delete(BRIDGE.trade_intents.last_id)
    await leased.store.trade_intents.create(lost=True)
    assert [entry.id for entry in await leased.store.trade_intents.read_new(count=9, block_ms=0)] == [
        entry_id
    ]
    assert await answer(leased, planned(entry_id, plan_id="another")) == ("seen",)
    assert plans(leased) == [f"plan-of-{entry_id}"]
    assert outcomes(leased) == ["plan"]
    assert pending(leased) == []


async def test_the_same_answer_twice_in_one_batch_makes_one_plan(leased: Backend) -> None:
    (entry_id,) = await deliver(leased)
    assert await answer(leased, planned(entry_id), planned(entry_id)) == ("committed", "seen")
    assert len(plans(leased)) == 1


async def test_a_refused_intent_stays_refused(leased: Backend) -> None:
    (entry_id,) = await deliver(leased)
    assert await answer(leased, refused(entry_id)) == ("committed",)
    assert await answer(leased, planned(entry_id)) == ("seen",)
    assert (plans(leased), outcomes(leased)) == ([], ["refused"])


async def test_an_exit_that_was_published_twice_makes_one_plan(leased: Backend) -> None:
    first, second = await deliver(leased, 2, Lane.EXIT)
    commits = [planned(each, lane=Lane.EXIT, plan_id="one", plan_mark="one") for each in (first, second)]
    assert await answer(leased, *commits, lane=Lane.EXIT) == ("committed", "duplicate")
    assert plans(leased) == ["one"]
    assert pending(leased, Lane.EXIT) == [second]
    again = refused(second, mark=f"exit.intent:{second}", plan_mark="one")
    assert await answer(leased, again, lane=Lane.EXIT) == ("committed",)
    assert (plans(leased), outcomes(leased), pending(leased, Lane.EXIT)) == (["one"], ["plan", "refused"], [])


async def test_entries_of_two_streams_with_one_id_are_two_intents(leased: Backend) -> None:
    for lane in Lane:
        await group_of(leased, lane).create(lost=False)
        leased.outside.xadd(group_of(leased, lane).stream, {"symbol": SYMBOL}, entry_id="1760000000000-0")
        await group_of(leased, lane).read_new(count=1, block_ms=0)
        assert await answer(leased, planned(lane=lane, plan_id=lane), lane=lane) == ("committed",)
    assert plans(leased) == list(Lane)


@pytest.mark.parametrize("changed", ["mode", "last_close"])
async def test_an_answer_whose_basis_is_another_now_is_not_written_nor_any_behind_it(
    leased: Backend, changed: str
) -> None:
    first, second, third = await deliver(leased, 3)
    key = BRIDGE.mode if changed == "mode" else BRIDGE.last_close(SYMBOL)
    leased.outside.set(key, "ACTIVE")
    known = BridgeBasis(b"ACTIVE", None) if changed == "mode" else BridgeBasis(None, b"ACTIVE")
    commits = planned(first, basis=known), planned(second, basis=FREE), planned(third)
    assert await answer(leased, *commits) == ("committed", "changed")
    assert plans(leased) == [f"plan-of-{first}"]
    assert pending(leased) == [second, third]
    assert leased.outside.get(BRIDGE.trade_intents.last_id) == first.encode()


async def test_a_close_is_known_to_the_entries_behind_it_in_the_batch(leased: Backend) -> None:
    first, second, third = await deliver(leased, 3)
    close = planned(first, closed_ms=1_760_000_000_123, close_ttl_ms=900_000)
    known = BridgeBasis(None, b"1760000000123")
    assert await answer(leased, close, refused(second, basis=known), planned(third, basis=FREE)) == (
        "committed", "committed", "changed",
    )  # fmt: skip
    assert leased.outside.get(BRIDGE.last_close(SYMBOL)) == b"1760000000123"
    assert 890_000 < leased.outside.pttl(BRIDGE.last_close(SYMBOL)) <= 900_000


async def test_a_basis_may_be_any_bytes(leased: Backend) -> None:
    (entry_id,) = await deliver(leased)
    text = bytes(range(256))
    leased.outside.set(BRIDGE.mode, text)
    assert (await leased.store.bridge_state([], with_equity=False)).mode == text
    assert await answer(leased, planned(entry_id, basis=BridgeBasis(text, None))) == ("committed",)


async def test_keys_of_a_wrong_type_are_read_as_such_and_equal_themselves(leased: Backend) -> None:
    (entry_id,) = await deliver(leased)
    for key in (BRIDGE.mode, BRIDGE.last_close(SYMBOL)):
        leased.outside.hset(key, {"a": "b"})
    for key in (BRIDGE.equity, BRIDGE.portfolio):
        leased.outside.set(key, "text")
    state = await leased.store.bridge_state([SYMBOL], with_equity=True)
    assert state == (b"!", {SYMBOL: b"!"}, (None, None), (None, None))
    assert await answer(leased, planned(entry_id, basis=BridgeBasis(b"!", b"!"))) == ("committed",)


async def test_equity_is_read_from_both_of_its_hashes(leased: Backend) -> None:
    leased.outside.hset(BRIDGE.equity, {"equity": "100.5", "ts": "1760000000.1", "peak": "200"})
    leased.outside.hset(BRIDGE.portfolio, {"equity_usd": "99", "timestamp": "1760000000"})
    leased.outside.set(BRIDGE.last_close("B"), "1760000000000")
    state = await leased.store.bridge_state([SYMBOL, Symbol("B")], with_equity=True)
    assert state.last_closes == {SYMBOL: None, "B": b"1760000000000"}
    assert (state.equity, state.portfolio) == ((b"100.5", b"1760000000.1"), (b"99", b"1760000000"))


async def test_a_plan_behind_its_deadline_is_not_written(leased: Backend) -> None:
    (entry_id,) = await deliver(leased)
    now_ms = await leased.store.redis_now_ms()
    assert await answer(leased, planned(entry_id, deadline_ms=now_ms - 1)) == ("late",)
    assert (plans(leased), pending(leased)) == ([], [entry_id])
    assert await answer(leased, planned(entry_id, deadline_ms=now_ms + 60_000)) == ("committed",)


async def test_a_poisonous_intent_is_a_dead_letter_of_its_stream(leased: Backend) -> None:
    (entry_id,) = await deliver(leased, 1, Lane.HARVEST)
    dead = ("entry_id", entry_id, "error", "evaluation_failed")
    commit = refused(entry_id, mark=f"harvest.intent:{entry_id}", dead_fields=dead)
    assert await answer(leased, commit, lane=Lane.HARVEST) == ("committed",)
    ((_, fields),) = leased.outside.xrange("q:stream:harvest.intent.dead")
    assert fields[b"error"] == b"evaluation_failed"
    assert pending(leased, Lane.HARVEST) == []


async def test_a_shadow_writes_no_key_that_others_read(leased: Backend) -> None:
    shadow = leased.another_store("first", bridge_shadow=True)
    for group in (shadow.trade_intents, shadow.exit_intents, shadow.harvest_intents):
        await group.create(lost=False)
    leased.outside.xadd(KEYS.intents, {"symbol": SYMBOL})
    (entry,) = await shadow.trade_intents.read_new(count=1, block_ms=0)
    before = {*leased.outside.keys()}
    begins = {each.last_id for each in (SHADOW.trade_intents, SHADOW.exit_intents, SHADOW.harvest_intents)}
    assert begins <= before
    dead = ("entry_id", entry.id)
    commit = planned(entry.id, closed_ms=1, close_ttl_ms=900_000, dead_fields=dead)
    assert (await shadow.answer_intents(leased.fence, Lane.TRADE, [commit])).verdicts == ("committed",)
    added = {*leased.outside.keys()} - before
    assert added == {
        SHADOW.seen(entry.id), SHADOW.last_close(SYMBOL), SHADOW.audit, SHADOW.trade_intents.dead,
    }  # fmt: skip
    assert all(name.startswith("q:intent_bridge:shadow:") for name in added | begins)
    assert plans(leased) == []
    assert shadow.trade_intents.group == "q:group:intent_bridge_shadow"
    assert shadow.exit_intents.group == "exit-intent-gateway_shadow"


async def test_a_lost_lease_writes_nothing(leased: Backend) -> None:
    (entry_id,) = await deliver(leased)
    before = everything(leased.outside)
    with pytest.raises(FencedError):
        await leased.store.answer_intents(FencingToken("1:other"), Lane.TRADE, [planned(entry_id)])
    assert everything(leased.outside) == before


@pytest.mark.parametrize("key", ["plans", "audit", "dead"])
async def test_a_stream_of_a_wrong_type_refuses_the_whole_batch(leased: Backend, key: str) -> None:
    (entry_id,) = await deliver(leased)
    name = BRIDGE.trade_intents.dead if key == "dead" else getattr(BRIDGE, key)
    leased.outside.set(name, "text")
    before = everything(leased.outside)
    with pytest.raises(StoreRefusedError, match="WRONGTYPE"):
        await answer(leased, planned(entry_id))
    assert everything(leased.outside) == before


async def test_a_mark_of_a_wrong_type_counts_as_one(leased: Backend) -> None:
    (entry_id,) = await deliver(leased)
    leased.outside.hset(BRIDGE.seen(entry_id), {"a": "b"})
    assert await answer(leased, planned(entry_id)) == ("seen",)
    assert plans(leased) == []


async def test_a_full_server_refuses_the_whole_answer(real: RedisBackend) -> None:
    await real.take_lease()
    first, second = await deliver(real, 2)
    before = everything(real.outside)
    real.plain.call("CONFIG", "SET", "maxmemory", "1")
    for commit in (planned(first, closed_ms=1, close_ttl_ms=1000), refused(first)):
        with pytest.raises(Exception, match="OOM"):
            await answer(real, commit, planned(second))
    real.plain.call("CONFIG", "SET", "maxmemory", "0")
    assert everything(real.outside) == before
    assert await answer(real, planned(first), planned(second)) == ("committed", "committed")


async def test_a_lost_group_goes_on_behind_the_last_intent_that_was_dealt_with(leased: Backend) -> None:
    first, second, third = await deliver(leased, 3)
    await answer(leased, planned(first))
    await answer(leased, planned(third))
    leased.outside.xgroup_destroy(KEYS.intents, BRIDGE.trade_intents.group)
    await leased.store.trade_intents.create(lost=True)
    assert [each.id for each in await leased.store.trade_intents.read_new(count=9, block_ms=0)] == [
        second, third,
    ]  # fmt: skip


async def test_a_group_that_vanishes_before_any_intent_was_answered_misses_none(leased: Backend) -> None:
    leased.outside.xadd(KEYS.intents, {"symbol": SYMBOL}, entry_id="1-1")
    await leased.store.trade_intents.create(lost=False)
    leased.outside.xgroup_destroy(KEYS.intents, BRIDGE.trade_intents.group)
    missed = leased.outside.xadd(KEYS.intents, {"symbol": SYMBOL})
    await leased.store.trade_intents.create(lost=False)
    (entry,) = await leased.store.trade_intents.read_new(count=9, block_ms=0)
    assert entry.id == EntryId(missed)


async def test_a_new_group_begins_now(leased: Backend) -> None:
    leased.outside.xadd(KEYS.intents, {"symbol": SYMBOL})
    await leased.store.trade_intents.create(lost=False)
    assert await leased.store.trade_intents.read_new(count=9, block_ms=0) == []
    later = leased.outside.xadd(KEYS.intents, {"symbol": SYMBOL})
    (entry,) = await leased.store.trade_intents.read_new(count=9, block_ms=0)
    assert entry.id == EntryId(later)
