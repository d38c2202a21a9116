"""A symbol with an order of unknown outcome: its hold, and the reservation that stays."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from brain.execution.record import OrderPhase
from brain.identifiers import PlanId
from store.execution_records import OrderProgress
from store.records import Committed
from tests.store.backends import KEYS, Backend, MemoryBackend, everything
from tests.store.commits import commit, decision
from tests.store.executions import (
    CLIENT,
    EVENT,
    EXECUTOR,
    HELD,
    HOLD,
    ORPHAN,
    ORPHANS_HOLD,
    PLAN,
    begun,
    other_client,
    permit,
    progress,
    record,
)

HOLD_KEY, SIG_KEY, REASON_KEY = KEYS.hold(HELD), EXECUTOR.hold_sig(HELD), EXECUTOR.hold_reason(HELD)
KEYS_OF_A_HOLD = (HOLD_KEY, SIG_KEY, REASON_KEY)


async def hold(backend: Backend, **changes: object) -> bool:
    return await backend.store.hold_symbol(backend.fence, msgspec.structs.replace(HOLD, **changes))


async def release(backend: Backend) -> bool:
    return await backend.store.release_hold(backend.fence, HELD, CLIENT)


async def test_a_hold_names_its_owner_and_reason_for_as_long_as_it_stands(leased: Backend) -> None:
    assert await hold(leased)
    assert [leased.outside.get(key) for key in KEYS_OF_A_HOLD] == [
        b"1", f"exec:{CLIENT}".encode(), b"execution_unknown:plan-1",
    ]  # fmt: skip
    for key in KEYS_OF_A_HOLD:
        assert 295_000 < leased.outside.pttl(key) <= 300_000


async def test_a_renewal_prolongs_a_hold_of_the_same_order(leased: Backend) -> None:
    assert await hold(leased, ttl_ms=10_000)
    assert await hold(leased)
    assert leased.outside.pttl(HOLD_KEY) > 290_000


@pytest.mark.parametrize("sig", [None, b"p34:0a1b", b"exec:another", b"operator:anna", b"\xff", "hash"])
async def test_anothers_hold_is_left_alone(leased: Backend, sig: bytes | str | None) -> None:
    leased.outside.set(HOLD_KEY, "1", ttl_ms=60_000)
    if sig == "hash":
        leased.outside.hset(SIG_KEY, {"a": "b"})
    elif sig is not None:
        leased.outside.set(SIG_KEY, sig)
    before = everything(leased.outside)
    assert not await hold(leased)
    assert not await release(leased)
    assert everything(leased.outside) == before
    assert leased.outside.pttl(HOLD_KEY) <= 60_000


async def test_without_a_reason_the_reservation_is_kept_and_nothing_is_held(leased: Backend) -> None:
    reservation = f"BOTH|open|BUY|0.5|{await leased.store.redis_now_ms() + 60_000}"
    leased.outside.hset(KEYS.open_permits(HELD), {"v": "1", f"p:{PLAN}": reservation})
    assert not await hold(leased, reason="")
    assert [leased.outside.get(key) for key in KEYS_OF_A_HOLD] == [None, None, None]
    kept = leased.outside.hgetall(KEYS.open_permits(HELD))[f"p:{PLAN}".encode()].decode()
    assert int(kept.rpartition("|")[2]) > int(reservation.rpartition("|")[2]) + 200_000


def of_order(phase: OrderPhase, **changes: Any) -> OrderProgress:
    """Return the second version of the held order's record."""
    return progress(**{"version": 2, "symbol": HELD, "phase": phase, **changes})


@pytest.mark.parametrize("phase", [OrderPhase.WORKING, OrderPhase.FINAL])
async def test_a_hold_ends_in_the_step_that_tells_of_its_order(leased: Backend, phase: OrderPhase) -> None:
    await begun(leased, permits=())
    await hold(leased)
    await leased.store.record_progress(leased.fence, of_order(phase, version=3))
    assert leased.outside.get(HOLD_KEY) == b"1"
    assert await leased.store.record_progress(leased.fence, of_order(phase))
    assert [leased.outside.kind(key) for key in KEYS_OF_A_HOLD] == ["none"] * 3


@pytest.mark.parametrize("phase", [OrderPhase.UNKNOWN, OrderPhase.ORPHAN])
async def test_a_hold_stays_while_nothing_is_known_of_its_order(leased: Backend, phase: OrderPhase) -> None:
    await begun(leased, permits=())
    await hold(leased)
    assert await leased.store.record_progress(leased.fence, of_order(phase))
    assert leased.outside.get(HOLD_KEY) == b"1"


@pytest.mark.parametrize("sig", [None, b"operator:anna", b"\xff", "hash"])
async def test_the_step_that_tells_of_an_order_leaves_anothers_hold_alone(
    leased: Backend, sig: bytes | str | None
) -> None:
    await begun(leased, permits=())
    leased.outside.set(HOLD_KEY, "1")
    leased.outside.set(REASON_KEY, "drift")
    if sig == "hash":
        leased.outside.hset(SIG_KEY, {"a": "b"})
    elif sig is not None:
        leased.outside.set(SIG_KEY, sig)
    before = [everything(leased.outside).get(key) for key in KEYS_OF_A_HOLD]
    assert await leased.store.record_progress(leased.fence, of_order(OrderPhase.FINAL))
    assert [everything(leased.outside).get(key) for key in KEYS_OF_A_HOLD] == before


@pytest.mark.parametrize("lost", [None, "reason"])
async def test_a_hold_passes_to_another_order_that_is_undecided(leased: Backend, lost: str | None) -> None:
    heir = record(plan_id=PlanId("plan-2"), client_order_id=other_client("plan-2"), symbol=HELD)
    await begun(leased, permits=())
    await hold(leased, ttl_ms=50_000)
    if lost:
        leased.outside.delete(REASON_KEY)
    step = msgspec.structs.replace(of_order(OrderPhase.FINAL), heir=heir)
    assert await leased.store.record_progress(leased.fence, step)
    assert [leased.outside.get(key) for key in KEYS_OF_A_HOLD] == [
        b"1", f"exec:{heir.client_order_id}".encode(), None if lost else b"execution_unknown:plan-2",
    ]  # fmt: skip
    for key in KEYS_OF_A_HOLD[:2]:
        assert 45_000 < leased.outside.pttl(key) <= 50_000
    assert not await hold(leased)


async def test_the_owner_of_an_ended_hold_does_not_matter(leased: Backend) -> None:
    leased.outside.set(SIG_KEY, "p34:0a1b")
    assert await hold(leased)
    assert leased.outside.get(SIG_KEY) == f"exec:{CLIENT}".encode()


async def test_a_hold_is_released_by_its_order_alone_and_once(leased: Backend) -> None:
    await hold(leased)
    assert not await leased.store.release_hold(leased.fence, HELD, other_client())
    assert leased.outside.get(HOLD_KEY) == b"1"
    assert await release(leased)
    assert [leased.outside.kind(key) for key in KEYS_OF_A_HOLD] == ["none"] * 3
    assert not await release(leased)


async def test_the_rest_of_an_ended_hold_is_removed(leased: Backend) -> None:
    await hold(leased)
    leased.outside.delete(HOLD_KEY)
    assert not await release(leased)
    assert [leased.outside.kind(key) for key in KEYS_OF_A_HOLD] == ["none"] * 3


async def test_a_reservation_is_kept_for_as_long_as_the_hold(leased: Backend) -> None:
    (verdict,) = await commit(leased, decision(PLAN, "1-0", symbol=HELD))
    assert isinstance(verdict, Committed)
    now_ms = await leased.store.redis_now_ms()
    assert await hold(leased)
    stored = leased.outside.hgetall(KEYS.open_permits(HELD))
    reserved, _, ends = stored[b"p:plan-1"].rpartition(b"|")
    assert reserved == b"BOTH|close|SELL|0.028"
    assert 0 <= int(ends) - now_ms - 300_000 < 5_000
    assert stored[b"v"] == f"x{CLIENT}|{int(ends)}".encode()
    assert leased.outside.pttl(KEYS.open_permits(HELD)) > 350_000
    state = (await leased.store.open_permits([HELD]))[HELD]
    assert state.permits == ((PLAN, f"BOTH|close|SELL|0.028|{int(ends)}"),)


async def test_a_reservation_is_kept_under_anothers_hold_too(leased: Backend) -> None:
    await commit(leased, decision(PLAN, "1-0", symbol=HELD))
    leased.outside.set(HOLD_KEY, "1")
    before = leased.outside.hgetall(KEYS.open_permits(HELD))
    assert not await hold(leased)
    assert leased.outside.hgetall(KEYS.open_permits(HELD)) != before


async def test_a_reservation_that_ended_and_is_still_stored_counts_again(memory: MemoryBackend) -> None:
    await memory.take_lease()
    await commit(memory, decision(PLAN, "1-0", symbol=HELD))
    await memory.pass_ms(91_000)
    await memory.take_lease()
    await hold(memory)
    reserved = memory.outside.hgetall(KEYS.open_permits(HELD))[b"p:plan-1"]
    assert int(reserved.rpartition(b"|")[2]) == await memory.store.redis_now_ms() + 300_000


STORED: dict[str, dict[str | bytes, str | bytes]] = {
    "none": {},
    "of another plan": {"v": "d1-0", "p:plan-2": "BOTH|close|SELL|0.028|1760000000000"},
    "longer": {"v": "d1-0", "p:plan-1": "BOTH|close|SELL|0.028|999999999999999"},
    "unreadable": {"v": "d1-0", "p:plan-1": "BOTH|close|SELL|0.028"},
    "of a number that no clock shows": {"v": "d1-0", "p:plan-1": "BOTH|close|SELL|0.028|1760000000000000"},
}


@pytest.mark.parametrize("name", STORED)
async def test_a_reservation_that_needs_nothing_or_cannot_be_read_stays_as_it_is(
    leased: Backend, name: str
) -> None:
    stored = STORED[name]
    if stored:
        leased.outside.hset(KEYS.open_permits(HELD), stored)
    before = leased.outside.hgetall(KEYS.open_permits(HELD))
    assert await hold(leased)
    assert leased.outside.hgetall(KEYS.open_permits(HELD)) == before


async def test_open_permits_of_a_wrong_type_do_not_prevent_the_hold(leased: Backend) -> None:
    leased.outside.set(KEYS.open_permits(HELD), "junk")
    assert await hold(leased)
    assert leased.outside.get(KEYS.open_permits(HELD)) == b"junk"


async def test_a_decision_that_assumed_the_former_end_is_decided_again(leased: Backend) -> None:
    await commit(leased, decision(PLAN, "1-0", symbol=HELD))
    (known,) = (await leased.store.open_permits([HELD])).values()
    await hold(leased)
    (now,) = (await leased.store.open_permits([HELD])).values()
    assert now.permits_version != known.permits_version


async def test_a_hold_keeps_the_record_of_its_order(memory: MemoryBackend) -> None:
    await memory.take_lease()
    permit(memory)
    await begun(memory)
    await memory.pass_ms(600_000_000)
    await memory.take_lease()
    await hold(memory)
    assert memory.outside.pttl(EXECUTOR.order(PLAN)) == 604_800_000


HELD_KEY = KEYS.hold(ORPHAN.symbol)


@pytest.mark.parametrize("again", [False, True])
async def test_an_orphan_is_recorded_and_held_in_one_step(leased: Backend, again: bool) -> None:
    """`again`: the hold stands already, by a version that set it before the record."""
    if again:
        assert await leased.store.hold_symbol(leased.fence, ORPHANS_HOLD)
    assert await leased.store.record_orphan(leased.fence, ORPHAN, EVENT, ORPHANS_HOLD) == "recorded"
    assert await leased.store.order_record(ORPHAN.plan_id) == ORPHAN
    assert leased.outside.get(HELD_KEY) == b"1"
    assert leased.outside.get(EXECUTOR.hold_sig(ORPHAN.symbol)) == f"exec:{CLIENT}".encode()
    assert leased.outside.get(EXECUTOR.hold_reason(ORPHAN.symbol)) == b"orphan_order"
    for key in (HELD_KEY, EXECUTOR.hold_sig(ORPHAN.symbol), EXECUTOR.hold_reason(ORPHAN.symbol)):
        assert ORPHANS_HOLD.ttl_ms - 5000 < leased.outside.pttl(key) <= ORPHANS_HOLD.ttl_ms
    assert len(leased.outside.xrange(KEYS.events)) == 1


@pytest.mark.parametrize("owner", [None, "exec:another", "p34:0123456789ab"])
async def test_an_orphan_of_a_symbol_that_another_holds_leaves_everything_as_it_is(
    leased: Backend, owner: str | None
) -> None:
    leased.outside.set(HELD_KEY, "1")
    if owner is not None:
        leased.outside.set(EXECUTOR.hold_sig(ORPHAN.symbol), owner)
    before = everything(leased.outside)
    assert await leased.store.record_orphan(leased.fence, ORPHAN, EVENT, ORPHANS_HOLD) == "held"
    assert everything(leased.outside) == before


async def test_an_orphan_with_a_record_is_not_held_again(leased: Backend) -> None:
    """An operator may have released it since."""
    await leased.store.record_orphan(leased.fence, ORPHAN, EVENT, None)
    before = everything(leased.outside)
    assert await leased.store.record_orphan(leased.fence, ORPHAN, EVENT, ORPHANS_HOLD) == "known"
    assert everything(leased.outside) == before
