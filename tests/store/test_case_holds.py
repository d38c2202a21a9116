"""Holds of the reconcile engine: which it may set, renew, replace and lift."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from store.reconcile_records import HoldChange
from tests.store.backends import Backend, Outside, everything
from tests.store.executions import EXECUTOR
from tests.store.reconciled import (
    DRIFTED,
    ENGINE,
    EVENT,
    NEXT_SIG,
    OPENING,
    RELEASE,
    RENEWAL,
    SET_HOLD,
    SIG,
    STATE,
    TTL_MS,
    write_hold,
    write_record,
)

HOLD_KEY, SIG_KEY, REASON_KEY = ENGINE.hold(DRIFTED), ENGINE.hold_sig(DRIFTED), ENGINE.hold_reason(DRIFTED)
KEYS_OF_A_HOLD = (HOLD_KEY, SIG_KEY, REASON_KEY)
OPERATOR = "operator:ann"
#: Life of a hold that never ends.
NEVER = None


async def change(backend: Backend, hold: HoldChange | None, **changes: Any) -> bool:
    case = msgspec.structs.replace(OPENING, hold=hold, **changes)
    return await backend.store.change_case(backend.fence, case)


def stored_hold(outside: Outside) -> list[bytes | None]:
    return [outside.get(key) for key in KEYS_OF_A_HOLD]


async def test_a_hold_names_its_owner_and_reason_for_as_long_as_it_stands(leased: Backend) -> None:
    assert await change(leased, SET_HOLD)
    assert stored_hold(leased.outside) == [b"1", SIG.encode(), b"qty_mismatch"]
    for key in KEYS_OF_A_HOLD:
        assert TTL_MS - 5_000 < leased.outside.pttl(key) <= TTL_MS
    assert leased.outside.hgetall(ENGINE.state(DRIFTED)) == {
        b"status": b"HOLD", b"reason": b"qty_mismatch", b"diff_amt": b"0.2",
    }  # fmt: skip
    assert 86_000_000 < leased.outside.pttl(ENGINE.state(DRIFTED)) <= 86_400_000
    (event,) = leased.outside.xrange(ENGINE.events)
    assert event[1] == {b"event": b"HOLD_SET", b"symbol": DRIFTED.encode()}


async def test_a_hold_that_was_set_is_not_set_again_nor_is_its_event(leased: Backend) -> None:
    assert await change(leased, SET_HOLD)
    before = everything(leased.outside)
    assert not await change(leased, SET_HOLD)
    assert everything(leased.outside) == before


async def test_a_renewal_prolongs_it_and_may_name_another_drift(leased: Backend) -> None:
    write_hold(leased.outside, DRIFTED, SIG, ttl_ms=10_000)
    assert await change(leased, msgspec.structs.replace(RENEWAL, sig=NEXT_SIG), event=(), state=())
    assert stored_hold(leased.outside) == [b"1", NEXT_SIG.encode(), b"qty_mismatch"]
    assert all(leased.outside.pttl(key) > TTL_MS - 5_000 for key in KEYS_OF_A_HOLD)
    assert leased.outside.kind(ENGINE.events) == "none"
    assert leased.outside.kind(ENGINE.state(DRIFTED)) == "none"


async def test_a_release_leaves_nothing_of_the_hold(leased: Backend) -> None:
    write_hold(leased.outside, DRIFTED, SIG)
    assert await change(leased, RELEASE)
    assert stored_hold(leased.outside) == [None, None, None]
    assert leased.outside.xlen(ENGINE.events) == 1
    before = everything(leased.outside)
    assert not await change(leased, RELEASE)
    assert everything(leased.outside) == before


@pytest.mark.parametrize("hold", [RENEWAL, RELEASE])
async def test_a_hold_that_has_expired_is_neither_renewed_nor_released(
    leased: Backend, hold: HoldChange
) -> None:
    write_hold(leased.outside, DRIFTED, SIG, ttl_ms=40)
    await leased.pass_ms(45)
    assert not await change(leased, hold)
    assert await change(leased, SET_HOLD)


async def test_an_owner_without_a_hold_holds_nothing(leased: Backend) -> None:
    write_hold(leased.outside, DRIFTED, OPERATOR, ttl_ms=NEVER)
    leased.outside.delete(HOLD_KEY)
    assert await change(leased, SET_HOLD)
    assert stored_hold(leased.outside) == [b"1", SIG.encode(), b"qty_mismatch"]


def _no_owner(outside: Outside) -> None:
    write_hold(outside, DRIFTED, None)


def _operator(outside: Outside) -> None:
    write_hold(outside, DRIFTED, OPERATOR, ttl_ms=NEVER)


def _order_under_way(outside: Outside) -> None:
    write_hold(outside, DRIFTED, write_record(outside, "plan-7", "unknown"))


def _order_without_record(outside: Outside) -> None:
    write_hold(outside, DRIFTED, "exec:p33-0")


def _order_whose_name_is_of_a_wrong_type(outside: Outside) -> None:
    sig = write_record(outside, "plan-7", "final")
    key = EXECUTOR.plan_of(sig.removeprefix("exec:"))
    outside.delete(key)
    outside.hset(key, {"a": "b"})
    write_hold(outside, DRIFTED, sig)


def _order_whose_record_is_of_a_wrong_type(outside: Outside) -> None:
    sig = write_record(outside, "plan-7", "final")
    outside.delete(EXECUTOR.order("plan-7"))
    outside.set(EXECUTOR.order("plan-7"), "final")
    write_hold(outside, DRIFTED, sig)


def _another_value(outside: Outside) -> None:
    write_hold(outside, DRIFTED, SIG, value="manual")


def _set_over_ours_for_ever(outside: Outside) -> None:
    write_hold(outside, DRIFTED, SIG)
    outside.set(HOLD_KEY, "1")


def _set_over_ours_for_longer(outside: Outside) -> None:
    write_hold(outside, DRIFTED, SIG)
    outside.set(HOLD_KEY, "1", ttl_ms=TTL_MS + 60_000)


def _our_owner_for_ever(outside: Outside) -> None:
    write_hold(outside, DRIFTED, SIG)
    outside.set(SIG_KEY, SIG)


def _of_a_wrong_type(outside: Outside) -> None:
    write_hold(outside, DRIFTED, SIG)
    outside.delete(HOLD_KEY)
    outside.hset(HOLD_KEY, {"a": "b"})


def _owner_of_a_wrong_type(outside: Outside) -> None:
    write_hold(outside, DRIFTED, SIG)
    outside.delete(SIG_KEY)
    outside.hset(SIG_KEY, {"a": "b"})
    outside.pexpire(SIG_KEY, TTL_MS)


def _owner_that_is_no_text(outside: Outside) -> None:
    write_hold(outside, DRIFTED, "x")
    outside.set(SIG_KEY, b"\xff\xfe", ttl_ms=TTL_MS)


FOREIGN: tuple[Callable[[Outside], None], ...] = (
    _no_owner, _operator, _order_under_way, _order_without_record, _order_whose_name_is_of_a_wrong_type,
    _order_whose_record_is_of_a_wrong_type, _another_value, _set_over_ours_for_ever,
    _set_over_ours_for_longer, _our_owner_for_ever, _of_a_wrong_type, _owner_of_a_wrong_type,
    _owner_that_is_no_text,
)  # fmt: skip


@pytest.mark.parametrize("write", FOREIGN)
async def test_a_hold_of_another_is_never_set_renewed_or_lifted(
    leased: Backend, write: Callable[[Outside], None]
) -> None:
    write(leased.outside)
    before = everything(leased.outside)
    lives = [leased.outside.pttl(key) for key in KEYS_OF_A_HOLD]
    view = (await leased.store.reconcile_views([DRIFTED]))[DRIFTED]
    assert view.hold is not None
    named = [] if view.hold.sig is None else [view.hold.sig.decode(errors="replace")]
    for owner in (None, SIG, "", OPERATOR, "exec:p33-0", "!", *named):
        for after in (SET_HOLD, RELEASE):
            assert not await change(leased, msgspec.structs.replace(after, before=owner))
    assert everything(leased.outside) == before
    left = [leased.outside.pttl(key) for key in KEYS_OF_A_HOLD]
    assert all(now <= then and then - now < 10_000 for now, then in zip(left, lives, strict=True))
    assert await leased.store.own_holds([DRIFTED]) == []


async def test_a_hold_that_never_ends_is_anothers_even_shortly_before_the_end_of_its_owner(
    leased: Backend,
) -> None:
    write_hold(leased.outside, DRIFTED, SIG, ttl_ms=900)
    leased.outside.set(HOLD_KEY, "1")
    assert await leased.store.own_holds([DRIFTED]) == []
    for hold in (RENEWAL, RELEASE):
        assert not await change(leased, hold)
    assert leased.outside.pttl(HOLD_KEY) == -1


@pytest.mark.parametrize("phase", ["final", "orphan"])
async def test_the_hold_of_an_order_that_has_ended_is_taken_over_and_not_lifted(
    leased: Backend, phase: str
) -> None:
    sig = write_record(leased.outside, "plan-7", phase)
    write_hold(leased.outside, DRIFTED, sig, ttl_ms=10_000)
    before = everything(leased.outside)
    for hold in (
        msgspec.structs.replace(RELEASE, before=sig),
        SET_HOLD,
        msgspec.structs.replace(SET_HOLD, before="exec:p33-another"),
    ):
        assert not await change(leased, hold)
    assert everything(leased.outside) == before
    assert await change(leased, msgspec.structs.replace(SET_HOLD, before=sig))
    assert stored_hold(leased.outside) == [b"1", SIG.encode(), b"qty_mismatch"]
    assert await leased.store.own_holds([DRIFTED]) == [DRIFTED]
    assert all(leased.outside.pttl(key) > TTL_MS - 5_000 for key in KEYS_OF_A_HOLD)


async def test_a_step_without_a_hold_is_written_whatever_holds_the_symbol(leased: Backend) -> None:
    write_hold(leased.outside, DRIFTED, OPERATOR, ttl_ms=NEVER)
    assert await change(leased, None)
    assert leased.outside.hgetall(ENGINE.state(DRIFTED))[b"status"] == b"HOLD"
    assert leased.outside.xlen(ENGINE.events) == 1
    assert stored_hold(leased.outside) == [b"1", OPERATOR.encode(), b"drift"]


@pytest.mark.parametrize(
    "hold",
    [
        msgspec.structs.replace(SET_HOLD, sig="exec:p33-1"),
        msgspec.structs.replace(SET_HOLD, sig="0123456789ab"),
        msgspec.structs.replace(SET_HOLD, ttl_ms=0),
    ],
)
async def test_a_hold_that_would_not_be_the_engines_is_not_even_tried(
    leased: Backend, hold: HoldChange
) -> None:
    before = everything(leased.outside)
    with pytest.raises(ValueError, match="a hold of the engine"):
        await change(leased, hold)
    assert everything(leased.outside) == before


async def test_a_case_keeps_the_fields_that_it_does_not_change(leased: Backend) -> None:
    leased.outside.hset(ENGINE.state(DRIFTED), {"agreed_ms": "5", "status": "OK"})
    assert await change(leased, SET_HOLD, state=STATE, event=EVENT)
    stored = leased.outside.hgetall(ENGINE.state(DRIFTED))
    assert (stored[b"agreed_ms"], stored[b"status"]) == (b"5", b"HOLD")
