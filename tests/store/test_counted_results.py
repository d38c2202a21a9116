"""Results are counted in the buckets of their minutes: each once, and few names a bucket."""

from __future__ import annotations

import msgspec
import pytest

from brain.identifiers import EntryId
from store.errors import FencedError, GroupLostError, WrongTypeError
from store.intelligence_records import MOST_REASONS, MOST_SYMBOL_FIELDS, MOST_UNKNOWN, CountedResult
from tests.store.backends import KEYS, Backend, everything
from tests.store.intelligence_examples import NAMES

MINUTE, NEXT_MINUTE = "202511292138", "202511292139"
STREAM, GROUP = NAMES.results.key, NAMES.results.group
MIN_TTL_MS, TTL_MS = 172_000_000, 172_800_000


async def deliver(backend: Backend, count: int = 1) -> list[EntryId]:
    """Publish results and read them in the group: pending now."""
    group = backend.store.counted_results
    await group.create(lost=False)
    ids = [backend.outside.xadd(STREAM, {"plan_id": f"plan-{n}"}) for n in range(count)]
    assert [entry.id for entry in await group.read_new(count=count, block_ms=0)] == ids
    return ids


def blocked(entry_id: EntryId, **changes: object) -> CountedResult:
    result = CountedResult(entry_id, MINUTE, "BLOCKED", "p33_permit_denied:no_position", "p33", "BTCUSDT")
    return msgspec.structs.replace(result, **changes)


def executed(entry_id: EntryId, **changes: object) -> CountedResult:
    return msgspec.structs.replace(CountedResult(entry_id, MINUTE, "EXECUTE", "none"), **changes)


def bucket(backend: Backend, minute: str = MINUTE) -> dict[str, int]:
    stored = backend.outside.hgetall(NAMES.bucket(minute))
    return {field.decode(): int(value) for field, value in stored.items()}


def total(backend: Backend, kind: str, minute: str = MINUTE) -> int:
    return sum(count for field, count in bucket(backend, minute).items() if field.startswith(f"{kind}:"))


async def test_results_are_counted_by_decision_reason_gate_and_symbol(leased: Backend) -> None:
    first, second, third = await deliver(leased, 3)
    results = [blocked(first), blocked(second, symbol="ETHUSDT"), executed(third, minute=NEXT_MINUTE)]
    assert await leased.store.count_results(leased.fence, results) == [True, True, True]
    assert bucket(leased) == {
        "decision:BLOCKED": 2,
        "reason:p33_permit_denied:no_position": 2,
        "gate:p33:p33_permit_denied:no_position": 2,
        "symbol_reason:BTCUSDT:p33_permit_denied:no_position": 1,
        "symbol_reason:ETHUSDT:p33_permit_denied:no_position": 1,
    }
    assert bucket(leased, NEXT_MINUTE) == {"decision:EXECUTE": 1, "reason:none": 1}
    for minute in (MINUTE, NEXT_MINUTE):
        assert MIN_TTL_MS < leased.outside.pttl(NAMES.bucket(minute)) <= TTL_MS
    status = leased.outside.hgetall(NAMES.status)
    assert (status[b"processed_total"], status[b"last_id"]) == (b"3", third.encode())
    assert abs(int(status[b"last_ts"]) - int(third.partition("-")[0]) // 1000) <= 60
    assert leased.outside.xpending(STREAM, GROUP) == {}
    assert leased.outside.get(NAMES.results.last_id) == third.encode()
    assert leased.outside.kind(NAMES.counted_ahead) == "none"


async def test_a_result_is_counted_once_however_often_it_is_told(leased: Backend) -> None:
    first, second = await deliver(leased, 2)
    count = leased.store.count_results
    assert await count(leased.fence, [blocked(first), blocked(first)]) == [True, False]
    assert await count(leased.fence, [blocked(first), blocked(second)]) == [False, True]
    before = everything(leased.outside)
    assert await count(leased.fence, [blocked(first), blocked(second)]) == [False, False]
    assert everything(leased.outside) == before
    assert total(leased, "decision") == 2


async def test_a_result_that_was_not_delivered_is_not_counted(leased: Backend) -> None:
    await deliver(leased)
    unread = leased.outside.xadd(STREAM, {"plan_id": "unread"})
    assert await leased.store.count_results(leased.fence, [blocked(unread)]) == [False]
    assert bucket(leased) == {}
    (entry,) = await leased.store.counted_results.read_new(count=9, block_ms=0)
    assert await leased.store.count_results(leased.fence, [blocked(entry.id)]) == [True]


async def test_a_lost_group_brings_no_result_twice_and_misses_none(leased: Backend) -> None:
    """The last one was counted while an earlier one was pending: the new group begins before both."""
    first, second, third = await deliver(leased, 3)
    count, group = leased.store.count_results, leased.store.counted_results
    assert await count(leased.fence, [blocked(first), blocked(third)]) == [True, True]
    assert leased.outside.get(NAMES.results.last_id) == first.encode()
    leased.outside.xgroup_destroy(STREAM, GROUP)
    with pytest.raises(GroupLostError):
        await count(leased.fence, [blocked(second)])
    assert total(leased, "decision") == 2
    await group.create(lost=True)
    again = [entry.id for entry in await group.read_new(count=9, block_ms=0)]
    assert again == [second, third]
    assert await count(leased.fence, [blocked(each) for each in again]) == [True, False]
    assert total(leased, "decision") == 3
    assert leased.outside.xpending(STREAM, GROUP) == {}


async def test_a_process_that_is_late_passes_over_nothing_of_a_group_that_was_created_again(
    leased: Backend,
) -> None:
    """A standby creates the group, too: what the leader still holds of the lost one is delivered again."""
    first, second, third = await deliver(leased, 3)
    count, group = leased.store.count_results, leased.store.counted_results
    assert await count(leased.fence, [blocked(first)]) == [True]
    leased.outside.xgroup_destroy(STREAM, GROUP)
    await group.create(lost=True)
    assert await count(leased.fence, [blocked(second), blocked(third)]) == [False, False]
    assert leased.outside.get(NAMES.results.last_id) == first.encode()
    assert [entry.id for entry in await group.read_new(count=1, block_ms=0)] == [second]
    assert await count(leased.fence, [blocked(second), blocked(third)]) == [True, False]
    assert leased.outside.get(NAMES.results.last_id) == second.encode()
    assert [entry.id for entry in await group.read_new(count=9, block_ms=0)] == [third]
    assert await count(leased.fence, [blocked(third)]) == [True]
    assert total(leased, "decision") == 3


async def test_a_group_that_is_set_back_brings_no_result_twice(leased: Backend) -> None:
    first, second = await deliver(leased, 2)
    await leased.store.count_results(leased.fence, [blocked(first), blocked(second)])
    leased.outside.xgroup_destroy(STREAM, GROUP)
    kept = leased.outside.get(NAMES.results.last_id)
    leased.outside.delete(NAMES.results.last_id)
    await leased.store.counted_results.create(lost=True)
    leased.outside.set(NAMES.results.last_id, kept or b"")
    again = [entry.id for entry in await leased.store.counted_results.read_new(count=9, block_ms=0)]
    assert again == [first, second]
    results = [blocked(each) for each in again]
    assert await leased.store.count_results(leased.fence, results) == [False, False]
    assert total(leased, "decision") == 2
    assert leased.outside.xpending(STREAM, GROUP) == {}


async def test_ids_counted_ahead_are_forgotten_with_what_they_waited_for(leased: Backend) -> None:
    first, *others = await deliver(leased, 5)
    await leased.store.count_results(leased.fence, [blocked(each) for each in others])
    assert leased.outside.zrange(NAMES.counted_ahead) == [each.encode() for each in others]
    await leased.pass_ms(5)
    (later,) = await deliver(leased)
    await leased.store.count_results(leased.fence, [blocked(first), blocked(later)])
    assert leased.outside.zrange(NAMES.counted_ahead) == []
    assert leased.outside.get(NAMES.results.last_id) == later.encode()
    assert total(leased, "decision") == 6


async def test_a_stream_that_begins_anew_below_the_last_id_is_counted(leased: Backend) -> None:
    """Redis's clock was set back, or ids were ahead of it: the old id says nothing of the new stream."""
    leased.outside.set(NAMES.results.last_id, "9999999999999-0")
    (entry_id,) = await deliver_from_the_start(leased)
    assert await leased.store.count_results(leased.fence, [blocked(entry_id)]) == [True]


async def deliver_from_the_start(backend: Backend) -> list[EntryId]:
    group = backend.store.counted_results
    await group.create(lost=True)
    backend.outside.xadd(STREAM, {"plan_id": "p"})
    return [entry.id for entry in await group.read_new(count=9, block_ms=0)]


async def test_reasons_beyond_the_limit_of_a_bucket_are_counted_as_other(leased: Backend) -> None:
    ids = await deliver(leased, MOST_REASONS + 30)
    for begin in range(0, len(ids), 64):
        some = [
            blocked(each, reason=f"reason_{begin + n}", gate="plan")
            for n, each in enumerate(ids[begin : begin + 64])
        ]
        assert all(await leased.store.count_results(leased.fence, some))
    stored = bucket(leased)
    reasons = {field for field in stored if field.startswith("reason:")}
    assert reasons == {*(f"reason:reason_{n}" for n in range(MOST_REASONS)), "reason:other"}
    assert stored["reason:other"] == stored["gate:plan:other"] == stored["symbol_reason:BTCUSDT:other"] == 30
    assert total(leased, "reason") == total(leased, "decision") == len(ids)
    # What has a name there keeps being counted under it; other minutes have names of their own.
    again, elsewhere = await deliver(leased, 2)
    await leased.store.count_results(
        leased.fence,
        [blocked(again, reason="reason_7"), blocked(elsewhere, reason="new", minute=NEXT_MINUTE)],
    )
    assert bucket(leased)["reason:reason_7"] == 2
    assert bucket(leased, NEXT_MINUTE)["reason:new"] == 1


async def test_symbols_beyond_the_limit_of_a_bucket_are_counted_as_other(leased: Backend) -> None:
    stored: dict[str | bytes, str | bytes] = {
        f"symbol_reason:S{n}:none": "1" for n in range(MOST_SYMBOL_FIELDS - 3)
    }
    leased.outside.hset(NAMES.bucket(MINUTE), stored)
    ids = await deliver(leased, 5)
    results = [executed(each, symbol=f"NEW{n}") for n, each in enumerate(ids)]
    assert all(await leased.store.count_results(leased.fence, results))
    fields = [field for field in bucket(leased) if field.startswith("symbol_reason:")]
    assert len(fields) == MOST_SYMBOL_FIELDS
    assert bucket(leased)["symbol_reason:other:other"] == 3
    assert total(leased, "symbol_reason") == MOST_SYMBOL_FIELDS - 3 + 5


async def test_unknown_decisions_beyond_the_limit_of_a_bucket_are_counted_as_other(leased: Backend) -> None:
    ids = await deliver(leased, MOST_UNKNOWN + 3)
    results = [executed(each, decision=f"UNKNOWN:{n}") for n, each in enumerate(ids)]
    assert all(await leased.store.count_results(leased.fence, results))
    (known,) = await deliver(leased)
    await leased.store.count_results(leased.fence, [executed(known)])
    stored = bucket(leased)
    assert stored["decision:UNKNOWN:other"] == 3
    assert stored["decision:EXECUTE"] == 1
    assert sum(field.startswith("decision:UNKNOWN:") for field in stored) == MOST_UNKNOWN + 1


async def test_a_field_that_is_no_number_counts_as_zero(leased: Backend) -> None:
    leased.outside.hset(NAMES.bucket(MINUTE), {"decision:EXECUTE": "many", "reason:none": "9" * 40})
    leased.outside.hset(NAMES.status, {"processed_total": "-3", "last_id": "junk"})
    (entry_id,) = await deliver(leased)
    assert await leased.store.count_results(leased.fence, [executed(entry_id)]) == [True]
    assert bucket(leased) == {"decision:EXECUTE": 1, "reason:none": 1}
    status = leased.outside.hgetall(NAMES.status)
    assert (status[b"processed_total"], status[b"last_id"]) == (b"1", entry_id.encode())


WRONG = [NAMES.bucket(MINUTE), NAMES.status, NAMES.counted_ahead, NAMES.results.last_id]


@pytest.mark.parametrize("key", WRONG)
async def test_a_key_of_a_wrong_type_counts_nothing_and_acknowledges_nothing(
    leased: Backend, key: str
) -> None:
    first, second = await deliver(leased, 2)
    leased.outside.delete(key)
    leased.outside.xadd(key, {"a": "b"})
    before = everything(leased.outside)
    results = [executed(first, minute=NEXT_MINUTE), blocked(second)]
    with pytest.raises(WrongTypeError, match=key):
        await leased.store.count_results(leased.fence, results)
    assert everything(leased.outside) == before
    leased.outside.delete(key)
    assert await leased.store.count_results(leased.fence, results) == [True, True]


async def test_a_standby_counts_nothing(leased: Backend) -> None:
    (entry_id,) = await deliver(leased)
    stale = leased.fence
    await leased.store.release_lease(stale)
    before = everything(leased.outside)
    with pytest.raises(FencedError):
        await leased.store.count_results(stale, [executed(entry_id)])
    assert everything(leased.outside) == before


async def test_the_group_begins_now_and_is_apart_from_all_others(leased: Backend) -> None:
    leased.outside.xadd(KEYS.results, {"plan_id": "before"})
    (entry_id,) = await deliver(leased)
    assert await leased.store.count_results(leased.fence, [executed(entry_id)]) == [True]
    await leased.store.results.create(lost=True)
    assert len(await leased.store.results.read_new(count=9, block_ms=0)) == 2
