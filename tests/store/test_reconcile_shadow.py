"""The shadow of the reconcile engine: a life of its own under keys of its own."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest

from store.execution_protocol import ServiceStore
from store.operator_records import Hold
from store.reconcile_records import Agreement
from tests.store.backends import KEYS, Backend, everything
from tests.store.reconciled import (
    DRIFTED,
    OPENING,
    PROPOSAL,
    RELEASE,
    RENEWAL,
    REPAIR,
    SET_HOLD,
    SHADOW,
    SIG,
    write_hold,
    write_ledger,
    write_record,
)

HOLD_KEY, SIG_KEY, REASON_KEY = SHADOW.hold(DRIFTED), SHADOW.hold_sig(DRIFTED), SHADOW.hold_reason(DRIFTED)
OWN = "q:reconcile:shadow:"


@pytest.fixture
def shadow(leased: Backend) -> ServiceStore:
    return leased.another_store("first", reconcile_shadow=True)


async def change(store: ServiceStore, backend: Backend, hold: object) -> bool:
    return await store.change_case(backend.fence, msgspec.structs.replace(OPENING, hold=hold))


def foreign(stored: dict[str, object]) -> dict[str, object]:
    return {key: value for key, value in stored.items() if not key.startswith(OWN)}


async def seen(store: ServiceStore) -> Hold | None:
    return (await store.reconcile_views([DRIFTED]))[DRIFTED].hold


async def test_a_whole_case_writes_keys_of_the_shadow_alone(leased: Backend, shadow: ServiceStore) -> None:
    write_ledger(leased.outside)
    before = everything(leased.outside)
    await shadow.note_agreements(leased.fence, [Agreement(DRIFTED, 5, "3")])
    assert await change(shadow, leased, SET_HOLD)
    assert await shadow.own_holds([DRIFTED]) == [DRIFTED]
    assert await leased.store.own_holds([DRIFTED]) == []
    assert await shadow.propose_close(leased.fence, PROPOSAL)
    assert not await shadow.propose_close(leased.fence, PROPOSAL)
    assert await shadow.repair_ledger(leased.fence, REPAIR)
    assert not await shadow.repair_ledger(leased.fence, REPAIR)
    assert await change(shadow, leased, SET_HOLD)
    assert await change(shadow, leased, RELEASE)
    assert foreign(everything(leased.outside)) == before
    assert leased.outside.hgetall(SHADOW.state(DRIFTED))[b"agreed_version"] == b"3"
    assert leased.outside.xlen("q:reconcile:shadow:events") == 5
    assert leased.outside.kind("q:reconcile:shadow:close:cooldown:DOGEUSDT:0123456789ab:14666666") == "string"


async def test_a_repair_in_the_shadow_rests_on_what_was_read_too(
    leased: Backend, shadow: ServiceStore
) -> None:
    write_ledger(leased.outside)
    write_hold(leased.outside, DRIFTED, SIG, keys=SHADOW)
    leased.outside.hset(KEYS.ledger(DRIFTED), {"version": "4"})
    before = everything(leased.outside)
    assert not await shadow.repair_ledger(leased.fence, REPAIR)
    assert everything(leased.outside) == before


def real_holds(backend: Backend) -> Iterator[bytes | None]:
    """Write real holds that the shadow must wait for, each in turn; the owner that it sees."""
    for sig in (None, "operator:ann", write_record(backend.outside, "plan-7", "unknown")):
        backend.outside.delete(KEYS.hold(DRIFTED))
        write_hold(backend.outside, DRIFTED, sig)
        yield None if sig is None else sig.encode()
    # Of an engine that was no shadow: none of its own.
    write_hold(backend.outside, DRIFTED, SIG)
    yield None


async def test_a_real_hold_stands_before_the_shadows_own(leased: Backend, shadow: ServiceStore) -> None:
    write_ledger(leased.outside)
    for owner in real_holds(leased):
        before = everything(leased.outside)
        hold = await seen(shadow)
        assert hold is not None
        assert hold.sig == owner
        for after in (SET_HOLD, RENEWAL, RELEASE):
            assert not await change(shadow, leased, after)
        assert not await shadow.repair_ledger(leased.fence, REPAIR)
        assert not await shadow.propose_close(leased.fence, PROPOSAL)
        assert await shadow.own_holds([DRIFTED]) == []
        assert everything(leased.outside) == before
        write_hold(leased.outside, DRIFTED, SIG, keys=SHADOW)
    leased.outside.delete(KEYS.hold(DRIFTED))
    assert await shadow.own_holds([DRIFTED]) == [DRIFTED]


async def test_the_real_hold_of_an_order_that_has_ended_is_taken_over_in_the_shadow_alone(
    leased: Backend, shadow: ServiceStore
) -> None:
    sig = write_record(leased.outside, "plan-7", "final")
    write_hold(leased.outside, DRIFTED, sig)
    before = everything(leased.outside)
    hold = await seen(shadow)
    assert hold is not None
    assert hold.sig == sig.encode()
    assert await change(shadow, leased, msgspec.structs.replace(SET_HOLD, before=sig))
    assert foreign(everything(leased.outside)) == before
    hold = await seen(shadow)
    assert hold is not None
    assert hold.sig == SIG.encode()
    assert await change(shadow, leased, RENEWAL)
    assert await change(shadow, leased, RELEASE)
    assert foreign(everything(leased.outside)) == before
    assert [leased.outside.get(key) for key in (HOLD_KEY, SIG_KEY, REASON_KEY)] == [None, None, None]
