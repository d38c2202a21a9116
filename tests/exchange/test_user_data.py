from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from brain.identifiers import ClientOrderId, OrderId, Symbol
from brain.moment import Moment
from brain.positions.position import Leg, LegPosition
from channels import (
    FillObserved,
    LeverageObserved,
    OrderEndObserved,
    PositionObserved,
)
from exchange.errors import UnreadableEvent
from exchange.protocol import Frame
from exchange.user_data import (
    AccountUpdate,
    ListenKeyExpired,
    OtherEvent,
    UserEvent,
    read_event,
)

ARRIVED = Moment(5.0, 1_700_000_000_500)


def account_update(*positions: Mapping[str, object], reason: str = "ORDER") -> dict[str, object]:
    return {
        "e": "ACCOUNT_UPDATE",
        "E": 1_700_000_000_460,
        "T": 1_700_000_000_450,
        "a": {"m": reason, "B": [{"a": "USDT", "wb": "1", "cw": "1", "bc": "0"}], "P": list(positions)},
    }


def order_update(**changes: object) -> dict[str, object]:
    order: dict[str, object] = {
        "s": "BTCUSDT",
        "c": "web_1",
        "S": "SELL",
        "o": "MARKET",
        "x": "TRADE",
        "X": "PARTIALLY_FILLED",
        "i": 8886774,
        "l": "0.001",
        "z": "0.002",
        "ps": "BOTH",
        "T": 1_700_000_000_450,
    }
    return {"e": "ORDER_TRADE_UPDATE", "E": 1, "T": 1_700_000_000_450, "o": {**order, **changes}}


def read(payload: object) -> tuple[str, UserEvent]:
    return read_event(Frame(msgspec.json.encode(payload).decode(), ARRIVED))


def test_an_account_update_reports_the_changed_positions_at_its_transaction_time() -> None:
    short = {"s": "ETHUSDT", "pa": "-0.5", "ep": "2000.10", "cr": "1", "up": "0", "ps": "SHORT"}
    flat = {"s": "BTCUSDT", "pa": "0", "ep": "0.00000", "ps": "BOTH"}
    label, event = read(account_update(short, flat))
    assert label == "ACCOUNT_UPDATE"
    assert event == AccountUpdate(
        "ORDER",
        1_700_000_000_450,
        (
            PositionObserved(
                "ETHUSDT",
                LegPosition(Leg.SHORT, Decimal("-0.5"), Decimal("2000.10"), 1_700_000_000_450),
                ARRIVED,
            ),
            PositionObserved(
                "BTCUSDT", LegPosition(Leg.BOTH, Decimal(0), Decimal("0.00000"), 1_700_000_000_450), ARRIVED
            ),
        ),
    )


REASONS = [
    "DEPOSIT",
    "WITHDRAW",
    "ORDER",
    "FUNDING_FEE",
    "WITHDRAW_REJECT",
    "ADJUSTMENT",
    "INSURANCE_CLEAR",
    "ADMIN_DEPOSIT",
    "ADMIN_WITHDRAW",
    "MARGIN_TRANSFER",
    "MARGIN_TYPE_CHANGE",
    "ASSET_TRANSFER",
    "OPTIONS_PREMIUM_FEE",
    "OPTIONS_SETTLE_PROFIT",
    "AUTO_EXCHANGE",
    "COIN_SWAP_DEPOSIT",
    "COIN_SWAP_WITHDRAW",
    "A_REASON_OF_2031",
]


@pytest.mark.parametrize("reason", REASONS)
def test_an_account_update_is_read_whatever_its_reason_and_with_or_without_positions(reason: str) -> None:
    assert read(account_update(reason=reason))[1] == AccountUpdate(reason, 1_700_000_000_450, ())
    without_list = {"e": "ACCOUNT_UPDATE", "E": 1, "T": 2, "a": {"m": reason, "B": []}}
    assert read(without_list)[1] == AccountUpdate(reason, 2, ())
    isolated = {"s": "BTCUSDT", "pa": "0.5", "ep": "60000", "mt": "isolated", "iw": "12.5", "ps": "BOTH"}
    _, shown = read(account_update(isolated, reason=reason))
    assert isinstance(shown, AccountUpdate)
    (position,) = shown.positions
    assert position.position == LegPosition(Leg.BOTH, Decimal("0.5"), Decimal(60000), 1_700_000_000_450)


def legs_in(*changes: tuple[str, str, str]) -> list[tuple[str, Leg, Decimal]]:
    """Decode an account update of these symbols, legs and amounts."""
    rows = [{"s": symbol, "ps": leg, "pa": amount, "ep": "1"} for symbol, leg, amount in changes]
    _, shown = read(account_update(*rows))
    assert isinstance(shown, AccountUpdate)
    return [(each.symbol, each.position.leg, each.position.amount) for each in shown.positions]


def test_the_flat_both_leg_that_hedge_mode_shows_beside_its_own_is_left_out() -> None:
    # The documentation's own example of the event lists all three.
    assert legs_in(
        ("BTCUSDT", "BOTH", "0"),
        ("BTCUSDT", "LONG", "20"),
        ("BTCUSDT", "SHORT", "-10"),
        ("ETHUSDT", "BOTH", "0"),
        ("XRPUSDT", "BOTH", "3"),
        ("XRPUSDT", "LONG", "1"),
    ) == [
        ("BTCUSDT", Leg.LONG, Decimal(20)),
        ("BTCUSDT", Leg.SHORT, Decimal(-10)),
        ("ETHUSDT", Leg.BOTH, Decimal(0)),
        ("XRPUSDT", Leg.BOTH, Decimal(3)),
        ("XRPUSDT", Leg.LONG, Decimal(1)),
    ]


@pytest.mark.parametrize("execution", ["TRADE", "CALCULATED"])
def test_a_trade_or_liquidation_is_a_fill_with_its_orders_cumulative_quantity(execution: str) -> None:
    label, event = read(order_update(x=execution, c="autoclose-12", ps="LONG"))
    assert label == "ORDER_TRADE_UPDATE"
    assert event == FillObserved(
        symbol=Symbol("BTCUSDT"),
        leg=Leg.LONG,
        order_id=OrderId("8886774"),
        client_order_id=ClientOrderId("autoclose-12"),
        order_side="SELL",
        cumulative=Decimal("0.002"),
        status="PARTIALLY_FILLED",
        transaction_ms=1_700_000_000_450,
        received=ARRIVED,
        quantity=Decimal("0.001"),
    )


@pytest.mark.parametrize("execution", ["NEW", "CANCELED", "EXPIRED", "AMENDMENT"])
def test_an_order_update_without_a_fill_reports_nothing_of_positions(execution: str) -> None:
    assert read(order_update(x=execution, z="0"))[1] == OtherEvent()


@pytest.mark.parametrize("status", ["CANCELED", "EXPIRED", "EXPIRED_IN_MATCH", "REJECTED"])
def test_an_order_that_ends_without_another_fill_reports_how_far_it_was_filled(status: str) -> None:
    _, event = read(order_update(x="EXPIRED", X=status, z="0.002", c="p33-1", ps="SHORT"))
    assert event == OrderEndObserved(
        symbol=Symbol("BTCUSDT"),
        leg=Leg.SHORT,
        order_id=OrderId("8886774"),
        client_order_id=ClientOrderId("p33-1"),
        order_side="SELL",
        cumulative=Decimal("0.002"),
        status=status,
        transaction_ms=1_700_000_000_450,
        received=ARRIVED,
    )
    assert read(order_update(x="EXPIRED", X=status, z="NaN"))[1] == OtherEvent()


def test_a_combined_streams_wrapping_changes_nothing() -> None:
    bare = order_update()
    assert read({"stream": "a-listen-key", "data": bare}) == read(bare)


@pytest.mark.parametrize("order_id", ["autoclose-12", "adl_autoclose", "settlement_autoclose-7", "stop_1"])
def test_a_fill_without_an_order_of_ours_is_known_by_its_client_order_id(order_id: str) -> None:
    _, event = read(order_update(c=order_id))
    assert isinstance(event, FillObserved)
    assert event.client_order_id == order_id


def test_leverage_expiry_and_events_of_no_interest() -> None:
    config = {"e": "ACCOUNT_CONFIG_UPDATE", "E": 1, "T": 2, "ac": {"s": "BTCUSDT", "l": 25}}
    changed = LeverageObserved("BTCUSDT", Decimal(25), ARRIVED)
    assert read(config) == ("ACCOUNT_CONFIG_UPDATE", changed)
    multi_asset = {"e": "ACCOUNT_CONFIG_UPDATE", "E": 1, "T": 2, "ai": {"j": True}}
    assert read(multi_asset)[1] == OtherEvent()
    for time in ("1736996475556", 1736996475556):
        expired = {"e": "listenKeyExpired", "E": time, "listenKey": "k"}
        assert read(expired) == ("listenKeyExpired", ListenKeyExpired())


@pytest.mark.parametrize(
    "event_type",
    [
        "TRADE_LITE",
        "ALGO_UPDATE",
        "MARGIN_CALL",
        "CONDITIONAL_ORDER_TRIGGER_REJECT",
        "STRATEGY_UPDATE",
        "GRID_UPDATE",
    ],
)
def test_documented_events_of_no_interest_are_counted_by_name_whatever_they_hold(event_type: str) -> None:
    event = {"e": event_type, "E": 1, "T": "soon", "o": {"s": 5}, "a": None, "s": []}
    assert read(event) == (event_type, OtherEvent())


@pytest.mark.parametrize("event_type", ["SOMETHING_OF_2031", "account_update", "ACCOUNT_UPDATE "])
def test_unknown_events_are_counted_together(event_type: str) -> None:
    assert read({"e": event_type, "T": "soon", "a": 5}) == ("other", OtherEvent())


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "not json",
        "[]",
        "{}",
        '{"id":1,"result":null}',
        '{"stream":"k","data":{}}',
        '{"e":"ACCOUNT_UPDATE","E":1,"a":{}}',
        '{"e":"ACCOUNT_UPDATE","T":1,"a":{"P":[{"s":"X"}]}}',
        '{"e":"ACCOUNT_UPDATE","T":1,"a":{"P":[{"s":"X","pa":"NaN"}]}}',
        '{"e":"ACCOUNT_UPDATE","T":1,"a":{"P":[{"s":"X","pa":"Infinity"}]}}',
        '{"e":"ACCOUNT_UPDATE","T":1,"a":{"P":[{"s":"X","pa":"1e30"}]}}',
        '{"e":"ACCOUNT_UPDATE","T":1,"a":{"P":[{"s":"X","pa":"1","ps":"UP"}]}}',
        '{"e":"ORDER_TRADE_UPDATE","T":1,"o":{"s":"X","x":"TRADE"}}',
        b"\xff\xfe",
        b'{"e":"\xff"}',
        "[" * 50_000,
        '{"e":"ACCOUNT_UPDATE","T":1,"a":' + '{"a":' * 20_000,
        '{"stream":"k","data":' + "[" * 50_000,
    ],
)
def test_a_frame_that_cannot_be_read_is_refused(raw: str | bytes) -> None:
    with pytest.raises(UnreadableEvent):
        read_event(Frame(raw, ARRIVED))


@given(st.one_of(st.binary(max_size=200), st.text(max_size=200)))
def test_no_frame_whatever_raises_anything_else(raw: str | bytes) -> None:
    try:
        read_event(Frame(raw, ARRIVED))
    except UnreadableEvent:
        return


@pytest.mark.parametrize("price", ["NaN", None, "", "100.666666666666666666666667", []])
def test_an_unreadable_entry_price_is_unknown_and_the_amount_counts(price: object) -> None:
    _, event = read(account_update({"s": "X", "pa": "2", "ep": price}))
    assert isinstance(event, AccountUpdate)
    (observed,) = event.positions
    assert (observed.position.amount, observed.position.entry_price) == (Decimal(2), None)


@pytest.mark.parametrize("change", [{"s": "X"}, {"s": "X", "l": "NaN"}, None, 5])
def test_an_unreadable_leverage_changes_nothing(change: object) -> None:
    _, event = read({"e": "ACCOUNT_CONFIG_UPDATE", "T": 1, "ac": change})
    assert isinstance(event, OtherEvent)
