"""Closes that the reconcile engine proposes, each once under a hold of its own."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from brain.identifiers import ClientOrderId, Symbol
from store.errors import WrongTypeError
from store.reconcile_records import RecordedOrder
from tests.store.backends import KEYS, Backend, everything
from tests.store.executions import EXECUTOR
from tests.store.reconciled import DRIFTED, ENGINE, NEXT_SIG, PROPOSAL, prepare_case, write_hold

MARK = "q:reconcile:close:cooldown:DOGEUSDT:0123456789ab:14666666"
OUT = "q:reconcile:close:out:DOGEUSDT"
KEYS_OF_A_HOLD = (ENGINE.hold(DRIFTED), ENGINE.hold_sig(DRIFTED), ENGINE.hold_reason(DRIFTED))


@pytest.fixture
def drifted(leased: Backend) -> Backend:
    """A case under a hold of the engine."""
    prepare_case(leased.outside)
    return leased


async def propose(backend: Backend, **changes: Any) -> bool:
    return await backend.store.propose_close(backend.fence, msgspec.structs.replace(PROPOSAL, **changes))


async def test_a_close_is_published_and_its_hold_lives_on(drifted: Backend) -> None:
    assert await propose(drifted)
    out = drifted.outside
    (plan,) = out.xrange(KEYS.plans)
    assert plan[1] == {
        b"plan_id": b"reconclose:DOGEUSDT:0123456789ab:1760000000000", b"decision": b"RECONCILE_CLOSE"
    }  # fmt: skip
    assert out.get(MARK) == b"1"
    assert 115_000 < out.pttl(MARK) <= 120_000
    assert all(895_000 < out.pttl(key) <= 900_000 for key in KEYS_OF_A_HOLD)
    assert out.xlen(KEYS.events) == 1
    assert await drifted.store.own_holds([DRIFTED]) == [DRIFTED]


async def test_a_close_is_published_once_in_its_time(drifted: Backend) -> None:
    assert await propose(drifted)
    before = everything(drifted.outside)
    assert not await propose(drifted)
    assert everything(drifted.outside) == before
    assert not await propose(drifted, bucket=PROPOSAL.bucket + 2)
    assert everything(drifted.outside) == before
    drifted.outside.delete(OUT)
    assert not await propose(drifted)
    assert await propose(drifted, bucket=PROPOSAL.bucket + 2)
    assert drifted.outside.xlen(KEYS.plans) == 2


async def test_no_close_of_another_drift_is_published_while_one_may_be_executed(drifted: Backend) -> None:
    assert await propose(drifted)
    assert drifted.outside.get(OUT) == PROPOSAL.plan_id.encode()
    assert 115_000 < drifted.outside.pttl(OUT) <= 120_000
    for key in KEYS_OF_A_HOLD:
        drifted.outside.delete(key)
    write_hold(drifted.outside, DRIFTED, NEXT_SIG)
    before = everything(drifted.outside)
    assert not await propose(drifted, sig=NEXT_SIG)
    assert everything(drifted.outside) == before
    drifted.outside.delete(OUT)
    assert await propose(drifted, sig=NEXT_SIG)


async def test_whatever_else_is_in_its_place_no_close_is_published(drifted: Backend) -> None:
    drifted.outside.hset(OUT, {"a": "b"})
    before = everything(drifted.outside)
    assert not await propose(drifted)
    assert everything(drifted.outside) == before


async def test_it_is_sent_to_another_stream_where_one_is_set(drifted: Backend) -> None:
    assert await propose(drifted, stream=ENGINE.closes, event=())
    assert drifted.outside.xlen("q:stream:reconcile.close") == 1
    assert drifted.outside.kind(KEYS.plans) == drifted.outside.kind(KEYS.events) == "none"


@pytest.mark.parametrize("sig", [NEXT_SIG, "operator:ann", None])
async def test_no_close_is_proposed_under_another_hold(drifted: Backend, sig: str | None) -> None:
    for key in KEYS_OF_A_HOLD:
        drifted.outside.delete(key)
    write_hold(drifted.outside, DRIFTED, sig)
    before = everything(drifted.outside)
    assert not await propose(drifted)
    assert everything(drifted.outside) == before


async def test_no_close_is_proposed_without_a_hold(drifted: Backend) -> None:
    drifted.outside.delete(ENGINE.hold(DRIFTED))
    before = everything(drifted.outside)
    assert not await propose(drifted)
    assert not await propose(drifted, symbol=Symbol("ETHUSDT"))
    with pytest.raises(ValueError, match="a hold of the engine"):
        await propose(drifted, sig="operator:ann")
    assert everything(drifted.outside) == before


@pytest.mark.parametrize("key", [KEYS.plans, KEYS.events])
async def test_a_stream_of_a_wrong_type_is_named_and_nothing_is_written(drifted: Backend, key: str) -> None:
    drifted.outside.set(key, "1")
    before = everything(drifted.outside)
    with pytest.raises(WrongTypeError, match=f"{key} is a string, not a stream"):
        await propose(drifted)
    assert everything(drifted.outside) == before


async def test_the_order_of_a_proposed_close_is_known_without_a_record_of_the_executor(
    drifted: Backend,
) -> None:
    asked = [PROPOSAL.client_order_id, ClientOrderId("p33-another")]
    assert (await drifted.store.booked_growth(DRIFTED, [], asked)).records == {}
    assert await propose(drifted)
    lost = {PROPOSAL.client_order_id: RecordedOrder("lost", "RECONCILE_CLOSE")}
    assert (await drifted.store.booked_growth(DRIFTED, [], asked)).records == lost
    key = ENGINE.close_client(PROPOSAL.client_order_id)
    assert drifted.outside.get(key) == PROPOSAL.plan_id.encode()
    assert 604_700_000 < drifted.outside.pttl(key) <= 604_800_000
    # The name of a record that is gone.
    drifted.outside.set(EXECUTOR.plan_of(PROPOSAL.client_order_id), PROPOSAL.plan_id)
    assert (await drifted.store.booked_growth(DRIFTED, [], asked)).records == lost
