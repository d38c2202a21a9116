"""Entries that wait on the streams of plans and results, cut to size."""

from __future__ import annotations

from store.waiting_records import LONGEST_FIELD, MOST_ENTRIES, MOST_FIELDS, StreamWaiting
from tests.store.backends import KEYS, Backend, everything

GONE = "NOGROUP"


async def test_pending_entries_come_oldest_first_with_their_fields(leased: Backend) -> None:
    store, outside = leased.store, leased.outside
    await store.plans.create(lost=True)
    ids = [outside.xadd(KEYS.plans, {"plan_id": f"plan-{number}"}) for number in range(3)]
    await store.plans.read_new(count=2, block_ms=0)
    await leased.pass_ms(30)
    seen = await store.waiting()
    assert (seen.plans.pending, seen.plans.error) == (2, "")
    assert [(each.id, each.fields) for each in seen.plans.oldest] == [
        (ids[number], {b"plan_id": b"plan-%d" % number}) for number in range(2)
    ]
    assert {(each.consumer, each.deliveries) for each in seen.plans.oldest} == {(b"first", 1)}
    assert all(30 <= each.idle_ms < 60_000 for each in seen.plans.oldest)
    await store.plans.acknowledge(leased.fence, ids[:1])
    assert [each.id for each in (await store.waiting()).plans.oldest] == ids[1:2]


async def test_an_entry_that_was_deleted_while_it_was_pending_has_no_fields(leased: Backend) -> None:
    await leased.store.results.create(lost=True)
    entry_id = leased.outside.xadd(KEYS.results, {"plan_id": "a"})
    await leased.store.results.read_new(count=1, block_ms=0)
    leased.outside.xdel(KEYS.results, entry_id)
    (seen,) = (await leased.store.waiting()).results.oldest
    assert (seen.id, seen.fields) == (entry_id, None)


async def test_dead_letters_come_newest_first(leased: Backend) -> None:
    await leased.store.plans.create(lost=True)
    ids = [leased.outside.xadd(KEYS.dead_plans, {"error": str(number)}) for number in range(3)]
    seen = (await leased.store.waiting()).plans
    assert seen.letters == 3
    assert [(each.id, each.fields) for each in seen.newest] == [
        (ids[number], {b"error": b"%d" % number}) for number in (2, 1, 0)
    ]


async def test_many_large_entries_are_cut_to_size_and_counted(leased: Backend) -> None:
    await leased.store.results.create(lost=True)
    large: dict[str | bytes, str | bytes] = {
        f"{number:03d}{'n' * 1000}": b"\xff" * 5000 for number in range(60)
    }
    for _ in range(MOST_ENTRIES + 5):
        leased.outside.xadd(KEYS.results, large)
        leased.outside.xadd(KEYS.dead_results, large)
    await leased.store.results.read_new(count=100, block_ms=0)
    seen = (await leased.store.waiting()).results
    assert (seen.pending, seen.letters) == (MOST_ENTRIES + 5, MOST_ENTRIES + 5)
    assert (len(seen.oldest), len(seen.newest)) == (MOST_ENTRIES, MOST_ENTRIES)
    for fields in (seen.oldest[0].fields, seen.newest[0].fields):
        assert fields is not None
        assert len(fields) == MOST_FIELDS
        assert all(len(text) == LONGEST_FIELD for pair in fields.items() for text in pair)


async def test_nothing_is_there_before_the_groups_and_each_is_named(backend: Backend) -> None:
    seen = await backend.store.waiting()
    assert seen.now_ms > 0
    for stream in (seen.plans, seen.results):
        assert GONE in stream.error
        assert stream == StreamWaiting(error=stream.error)


async def test_a_key_of_another_type_hides_nothing_else(leased: Backend) -> None:
    await leased.store.plans.create(lost=True)
    leased.outside.xadd(KEYS.plans, {"plan_id": "a"})
    await leased.store.plans.read_new(count=1, block_ms=0)
    leased.outside.set(KEYS.dead_plans, "mine")
    leased.outside.set(KEYS.results, "mine")
    leased.outside.xadd(KEYS.dead_results, {"error": "x"})
    before = everything(leased.outside)
    seen = await leased.store.waiting()
    assert (seen.plans.pending, seen.plans.letters, len(seen.plans.oldest)) == (1, 0, 1)
    assert "WRONGTYPE" in seen.plans.error
    assert (seen.results.pending, seen.results.letters) == (0, 1)
    assert "WRONGTYPE" in seen.results.error
    assert everything(leased.outside) == before


async def test_open_permits_of_many_symbols_are_those_that_exist(leased: Backend) -> None:
    symbols = [f"S{number}USDT" for number in range(450)]
    for symbol in (symbols[0], symbols[199], symbols[200], symbols[449]):
        leased.outside.hset(KEYS.open_permits(symbol), {"v": "d1-0", "p:plan": "BOTH|close|SELL|1|1"})
    leased.outside.set(KEYS.open_permits(symbols[5]), "mine")
    found = await leased.store.open_permits(symbols)
    assert list(found) == [symbols[0], symbols[199], symbols[200], symbols[449]]
    assert found[symbols[0]].permits == (("plan", "BOTH|close|SELL|1|1"),)
