"""Windows over results are replaced as a whole, and what is empty is deleted."""

from __future__ import annotations

import msgspec
import pytest

from store.errors import FencedError, WrongTypeError
from store.intelligence_records import WindowWrite
from tests.store.backends import Backend, everything
from tests.store.intelligence_examples import MINUTE, NAMES, STATUS, WINDOW
from tests.store.test_counted_results import blocked, deliver

EMPTY = WindowWrite("5m", (), (), ())
KEYS_OF_A_WINDOW = (NAMES.decisions("5m"), NAMES.reasons("5m"), NAMES.gates("5m"))


async def write(
    backend: Backend, window: WindowWrite = WINDOW, unknown: tuple[tuple[str, int], ...] = ()
) -> int:
    return await backend.store.write_windows(backend.fence, [window], unknown=unknown, status=STATUS)


async def test_a_window_has_its_counts_reasons_and_gates_for_a_day(leased: Backend) -> None:
    assert await write(leased, unknown=(("HOLD", 3), ("HALT", 1))) == 0
    outside = leased.outside
    assert outside.hgetall(NAMES.decisions("5m")) == {b"EXECUTE": b"3", b"BLOCKED": b"1"}
    assert outside.hgetall(NAMES.gates("5m")) == {b"p33:p33_permit_denied:no_position": b"1"}
    assert outside.zrange(NAMES.reasons("5m")) == [b"p33_permit_denied:no_position", b"none"]
    assert outside.zrange(NAMES.unknown) == [b"HALT", b"HOLD"]
    for key in KEYS_OF_A_WINDOW:
        assert 86_000_000 < outside.pttl(key) <= 86_400_000
    assert 290_000 < outside.pttl(NAMES.unknown) <= 300_000
    assert outside.hgetall(NAMES.status) == {
        **{name.encode(): text.encode() for name, text in STATUS.items()}, b"pending_estimate": b"0",
    }  # fmt: skip


async def test_nothing_of_the_window_before_is_left(leased: Backend) -> None:
    await write(leased, unknown=(("HOLD", 3),))
    await write(leased, msgspec.structs.replace(WINDOW, decisions=(("SKIP", 2),), gates=(("plan:skip", 2),)))
    assert leased.outside.hgetall(NAMES.decisions("5m")) == {b"SKIP": b"2"}
    assert leased.outside.hgetall(NAMES.gates("5m")) == {b"plan:skip": b"2"}
    assert leased.outside.kind(NAMES.unknown) == "none"


async def test_an_empty_window_is_deleted(leased: Backend) -> None:
    await write(leased)
    await write(leased, EMPTY)
    assert [leased.outside.kind(key) for key in KEYS_OF_A_WINDOW] == ["none"] * 3
    assert leased.outside.kind(NAMES.status) == "hash"


async def test_the_status_has_the_number_of_results_that_are_delivered_and_not_counted(
    leased: Backend,
) -> None:
    first, *_ = await deliver(leased, 3)
    assert await write(leased) == 3
    await leased.store.count_results(leased.fence, [blocked(first)])
    assert await write(leased) == 2
    status = leased.outside.hgetall(NAMES.status)
    assert (status[b"pending_estimate"], status[b"processed_total"]) == (b"2", b"1")


@pytest.mark.parametrize("key", [*KEYS_OF_A_WINDOW, NAMES.unknown, NAMES.status])
async def test_a_key_of_a_wrong_type_leaves_all_windows_as_they_are(leased: Backend, key: str) -> None:
    await write(leased)
    leased.outside.delete(key)
    leased.outside.set(key, "text")
    before = everything(leased.outside)
    with pytest.raises(WrongTypeError, match=key):
        await write(leased, EMPTY)
    assert everything(leased.outside) == before


async def test_a_standby_leaves_all_windows_as_they_are(leased: Backend) -> None:
    await write(leased)
    stale = leased.fence
    await leased.store.release_lease(stale)
    before = everything(leased.outside)
    with pytest.raises(FencedError):
        await leased.store.write_windows(stale, [EMPTY], unknown=(), status=STATUS)
    assert everything(leased.outside) == before


async def test_buckets_are_read_in_order_and_one_of_a_wrong_type_is_named(leased: Backend) -> None:
    (entry_id,) = await deliver(leased)
    await leased.store.count_results(leased.fence, [blocked(entry_id)])
    none, some = await leased.store.intelligence_buckets(["202511292137", MINUTE])
    assert none == {}
    assert some[b"decision:BLOCKED"] == b"1"
    leased.outside.set(NAMES.bucket("202511292137"), "text")
    with pytest.raises(WrongTypeError, match="202511292137"):
        await leased.store.intelligence_buckets([MINUTE, "202511292137"])
