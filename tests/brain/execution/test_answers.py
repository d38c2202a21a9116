"""The answers to order requests, and what each of them proves."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from brain.execution.answers import order_outcome
from brain.execution.orders import (
    Accepted,
    OrderRequest,
    OrderState,
    OrderStatus,
    Refused,
    Unknown,
    client_order_id,
)
from brain.identifiers import ClientOrderId, OrderId, PlanId, Symbol
from brain.positions.position import Leg

REQUEST = OrderRequest(
    symbol=Symbol("BTCUSDT"),
    side="SELL",
    quantity=Decimal("0.010"),
    leg=Leg.BOTH,
    reduce_only=True,
    client_order_id=client_order_id("quantum", PlanId("0123456789abcdef")),
    timestamp_ms=1_700_000_000_000,
    recv_window_ms=3000,
)
ORDER = OrderState(
    symbol=REQUEST.symbol,
    leg=Leg.BOTH,
    side="SELL",
    order_id=OrderId("8886774"),
    client_order_id=REQUEST.client_order_id,
    status=OrderStatus.FILLED,
    cumulative=Decimal("0.010"),
    average_price=None,
    update_ms=1_700_000_000_100,
)
LISTED_CODES = (
    *(-1102, -1111, -1121, -2018, -2019, -2022, -2027, -2028, -4003, -4004, -4005, -4061),
    *(-4131, -4140, -4164),
)
UNKNOWN_503 = "Unknown error, please check your request or try again later."
UNAVAILABLE_503 = "Service Unavailable."
INTERNAL_503 = "Internal error; unable to process your request. Please try again."


def body(code: object, message: object = "why") -> bytes:
    return msgspec.json.encode({"code": code, "msg": message})


def verdict(status: int, answer: bytes, order: OrderState | None = None) -> str:
    """Return the verdict as the table words it."""
    match order_outcome(REQUEST, status, answer, order):
        case Accepted(order=accepted):
            assert accepted is order
            return "accepted"
        case Refused(error=error):
            return f"refused {error}"
        case Unknown(refused_unless_found=True):
            return "refused unless found"
    return "unknown"


def test_a_200_with_our_order_is_as_it_says() -> None:
    assert verdict(200, b"{}", ORDER) == "accepted"
    rejected = msgspec.structs.replace(ORDER, status=OrderStatus.REJECTED)
    assert verdict(200, b"{}", rejected) == "accepted"


@pytest.mark.parametrize(
    "other",
    [
        None,
        msgspec.structs.replace(ORDER, client_order_id=ClientOrderId("web_1")),
        msgspec.structs.replace(ORDER, symbol=Symbol("ETHUSDT")),
        msgspec.structs.replace(ORDER, side="BUY"),
    ],
    ids=["unreadable", "another client order id", "another symbol", "another side"],
)
def test_a_200_with_anything_else_is_unknown(other: OrderState | None) -> None:
    assert verdict(200, b'{"orderId": 88', other) == "unknown"
    assert verdict(200, body(-2019), other) == "unknown"


@pytest.mark.parametrize("code", [*LISTED_CODES, -2010, -4014, -5022])
def test_a_4xx_with_a_code_is_refused_by_that_code(code: int) -> None:
    assert order_outcome(REQUEST, 400, body(code, "Margin is insufficient."), None) == Refused(
        f"binance_error:{code}", "Margin is insufficient."
    )


@pytest.mark.parametrize("status", [400, 401, 403, 408, 418, 429, 500, 503])
@pytest.mark.parametrize("code", [-1021, -1008])
def test_outside_the_window_and_overloaded_are_refused_whatever_the_status(status: int, code: int) -> None:
    assert verdict(status, body(code)) == f"refused binance_error:{code}"


@pytest.mark.parametrize("message", [UNAVAILABLE_503, INTERNAL_503])
def test_a_503_that_is_documented_as_failed_is_refused(message: str) -> None:
    assert verdict(503, msgspec.json.encode({"msg": message})) == "refused binance_error:503"
    assert verdict(503, body(-1001, message)) == "refused binance_error:503"
    assert verdict(503, f" {message}\n".encode()) == "refused binance_error:503"


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        (503, body(-1000, UNKNOWN_503)),
        (503, UNKNOWN_503.encode()),
        (503, b""),
        (503, b"<html><body>Service Unavailable.</body></html>"),
        (503, b"Service Unavailable"),
        (503, body(-2019, "Margin is insufficient.")),
        (503, body(-1016)),
        (500, body(-1001, INTERNAL_503)),
        (502, UNAVAILABLE_503.encode()),
        (504, b""),
        (400, body(-1006)),
        (400, body(-1007)),
        (503, body(-1007, UNAVAILABLE_503)),
        (408, b""),
        (408, body(-1007)),
        (400, body(-4116, "ClientOrderId is duplicated.")),
        (400, body(-1000, "An unknown error occurred while processing the request.")),
        (400, b""),
        (403, b"<html>Request blocked</html>"),
        (404, b"not found"),
        (400, msgspec.json.encode({"239999": "maintenance"})),
        (400, body("-2019")),
        (400, body(-2019.5)),
        (400, body(True)),
        (400, body(None)),
        (400, body(0)),
        (400, body(200, "success")),
        (400, b'{"code": -2019, "msg": "Margin is insuff'),
        (400, b'[{"code": -2019}]'),
        (302, body(-2019)),
        (201, body(-2019)),
        (100, body(-2019)),
    ],
)
def test_whatever_is_not_documented_as_failed_is_unknown(status: int, answer: bytes) -> None:
    assert verdict(status, answer) == "unknown"


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        (429, b""),
        (418, b""),
        (429, body(-1003)),
        (418, b"<html></html>"),
        (400, body(-1003)),
        (400, body(-1015)),
        (503, body(-1003)),
        (429, body(-4116 - 90_000)),
    ],
)
def test_too_many_requests_are_refused_once_no_order_is_found(status: int, answer: bytes) -> None:
    assert verdict(status, answer) == "refused unless found"


@pytest.mark.parametrize("status", [408, 418, 429])
def test_a_listed_code_decides_before_the_status(status: int) -> None:
    assert verdict(status, body(-2019)) == "refused binance_error:-2019"
    assert verdict(status, body(-4116)) == "unknown"


def test_a_text_is_cut_and_one_that_is_no_text_is_left_out() -> None:
    long = order_outcome(REQUEST, 400, body(-2019, "x" * 5000), None)
    assert long == Refused("binance_error:-2019", "x" * 200)
    assert order_outcome(REQUEST, 400, body(-2019, 7), None) == Refused("binance_error:-2019", "")


def documented_as_failed(status: int, code: object, message: object) -> bool:
    """Return True for the rows of the table that say "refused", written down a second time."""
    if status <= 200:
        return False
    number = code if isinstance(code, int) and not isinstance(code, bool) and code < 0 else None
    if number in (-1021, -1008):
        return True
    if number in (-1003, -1015, -1006, -1007, -4116):
        return False
    if number is not None and 400 <= status < 500 and number != -1000:
        return number in LISTED_CODES or status not in (408, 418, 429)
    return status == 503 and message in (UNAVAILABLE_503, INTERNAL_503)


STATUSES = st.integers(100, 599) | st.sampled_from([200, 400, 403, 408, 418, 429, 500, 503])
CODES: st.SearchStrategy[object] = (
    st.integers(-6000, 10)
    | st.sampled_from([*LISTED_CODES, -1000, -1003, -1006, -1007, -1008, -1015, -1021, -4116])
    | st.sampled_from(["-2019", None, True, -2019.5, [], {}])
)
MESSAGES = st.sampled_from([UNAVAILABLE_503, INTERNAL_503, UNKNOWN_503, "", None, 5]) | st.text(max_size=20)


@given(STATUSES, CODES, MESSAGES)
def test_refused_is_exactly_what_the_table_says(status: int, code: object, message: object) -> None:
    refused = verdict(status, body(code, message)).startswith("refused binance_error")
    assert refused == documented_as_failed(status, code, message)


@given(STATUSES, st.binary(max_size=200) | st.just(b"[" * 100_000))
def test_bytes_that_are_no_error_are_never_refused_or_accepted(status: int, answer: bytes) -> None:
    assert verdict(status, answer) == ("refused unless found" if status in (418, 429) else "unknown")


@given(STATUSES, st.integers(0, 80))
def test_a_cut_error_is_never_refused(status: int, kept: int) -> None:
    whole = body(-2019, "Margin is insufficient.")
    cut = whole[: min(kept, len(whole) - 1)]
    assert not verdict(status, cut).startswith("refused binance_error")
