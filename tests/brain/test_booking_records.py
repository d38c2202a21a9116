"""Order memory and open permits as they are stored."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brain.identifiers import PlanId
from brain.ledger.booking import decode_open_permit, encode_open_permit
from brain.ledger.order_memory import OrderMemory, UnreadableRecordError, decode_memory, encode_memory
from brain.plans.permit import Kind, OpenPermit
from brain.positions.position import Leg

QUANTITIES = st.decimals(min_value=0, max_value=10**9, places=8)
PERMITS = st.builds(
    OpenPermit,
    plan_id=st.just("plan-1"),
    leg=st.sampled_from(Leg),
    kind=st.sampled_from(Kind),
    order_side=st.sampled_from(["BUY", "SELL"]),
    remaining=QUANTITIES,
    expires_ms=st.integers(0, 10**14),
)


def test_records_are_stored_as_short_text() -> None:
    assert encode_memory(OrderMemory(Decimal("0.30"), 1_760_000_000_123)) == "0.3|1760000000123"
    assert (
        encode_open_permit(
            OpenPermit(PlanId("plan-1"), Leg.BOTH, Kind.CLOSE, "SELL", Decimal("1.0"), 1_760_000_090_000)
        )
        == "BOTH|close|SELL|1|1760000090000"
    )


@given(QUANTITIES, st.integers(0, 10**14), PERMITS)
def test_every_record_reads_back(quantity: Decimal, booked_ms: int, permit: OpenPermit) -> None:
    memory = OrderMemory(quantity, booked_ms)
    assert decode_memory(encode_memory(memory)) == memory
    assert decode_open_permit(PlanId("plan-1"), encode_open_permit(permit)) == permit


@pytest.mark.parametrize("text", ["", "1", "1|", "|5", "x|5", "1|x", "-1|5", "1|-5", "1|5|6", "NaN|5"])
def test_a_memory_that_cannot_be_read_is_not_a_missing_one(text: str) -> None:
    with pytest.raises(UnreadableRecordError):
        decode_memory(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "BOTH|close|SELL|1",
        "BOTH|close|SELL|1|x",
        "BOTH|close|SELL|-1|5",
        "BOTH|close|SELL|x|5",
        "UP|close|SELL|1|5",
        "BOTH|shut|SELL|1|5",
        "BOTH|close||1|5",
        "BOTH|close|SELL|1|5|6",
    ],
)
def test_an_open_permit_that_cannot_be_read_is_not_a_missing_one(text: str) -> None:
    with pytest.raises(UnreadableRecordError):
        decode_open_permit(PlanId("plan-1"), text)
