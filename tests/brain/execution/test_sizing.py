from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from brain.execution.sizing import Permitted, Sized, SizeLimits, read_scale, size_order
from brain.plans.permit import Kind
from brain.symbols.symbol_rules import SymbolRules

D = Decimal
RULES = SymbolRules("BTCUSDT", True, D("0.001"), D("0.002"), D(100))
NONE = SizeLimits()


def sized(
    kind: Kind,
    quantity: str,
    limits: SizeLimits = NONE,
    *,
    scale: str = "1",
    factor: str = "1",
    mark: str | None = "100",
    position: str | None = None,
    rules: SymbolRules = RULES,
) -> Sized:
    return size_order(
        Permitted(kind, D(quantity), D(scale), D(factor)),
        rules,
        limits,
        mark_price=None if mark is None else D(mark),
        position=None if position is None else D(position),
    )


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (sized(Kind.OPEN, "0.0285"), Sized(D("0.028"))),
        (sized(Kind.OPEN, "0.0019"), Sized(D(0), "below_min_qty")),
        (sized(Kind.OPEN, "500"), Sized(D(100))),
        (sized(Kind.CLOSE, "0.0285"), Sized(D("0.028"))),
        (sized(Kind.CLOSE, "3", position="1.0005"), Sized(D("1.000"))),
        (sized(Kind.CLOSE, "3", position="0"), Sized(D(0), "below_min_qty")),
        (sized(Kind.CLOSE, "0"), Sized(D(0), "below_min_qty")),
        (sized(Kind.OPEN, "0"), Sized(D(0), "below_min_qty")),
        (sized(Kind.OPEN, "1", scale="0.5", factor="0.5"), Sized(D(1))),
        (
            sized(Kind.OPEN, "1", SizeLimits(apply_downsize=True), scale="0.5", factor="0.333"),
            Sized(D("0.166")),
        ),
        (sized(Kind.CLOSE, "1", SizeLimits(apply_downsize=True), scale="0.5"), Sized(D(1))),
        (sized(Kind.OPEN, "5", SizeLimits(max_notional=D(500))), Sized(D(5))),
        (sized(Kind.OPEN, "5.001", SizeLimits(max_notional=D(500))), Sized(D(0), "position_too_large")),
        (sized(Kind.CLOSE, "5.001", SizeLimits(max_notional=D(500))), Sized(D("5.001"))),
        (sized(Kind.ADD, "6", SizeLimits(max_notional=D(500)), mark=None), Sized(D(0), "position_too_large")),
        (sized(Kind.OPEN, "0.05", SizeLimits(min_notional=D(5))), Sized(D("0.05"))),
        (sized(Kind.OPEN, "0.049", SizeLimits(min_notional=D(5))), Sized(D(0), "min_notional_check_failed")),
        (sized(Kind.CLOSE, "0.049", SizeLimits(min_notional=D(5))), Sized(D("0.049"))),
        (
            sized(Kind.OPEN, "1", SizeLimits(min_notional=D(5)), mark=None),
            Sized(D(0), "min_notional_check_failed"),
        ),
    ],
)
def test_the_quantity_of_an_order(found: Sized, expected: Sized) -> None:
    assert found == expected


LEAST_5, UNREADABLE = (msgspec.structs.replace(RULES, min_notional=least) for least in (D(5), None))
TOO_LITTLE = Sized(D(0), "min_notional_check_failed")


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (sized(Kind.OPEN, "0.05", rules=LEAST_5), Sized(D("0.05"))),
        (sized(Kind.OPEN, "0.049", rules=LEAST_5), TOO_LITTLE),
        (sized(Kind.ADD, "0.049", rules=LEAST_5), TOO_LITTLE),
        (sized(Kind.OPEN, "0.049", SizeLimits(min_notional=D(4)), rules=LEAST_5), TOO_LITTLE),
        (sized(Kind.OPEN, "0.055", SizeLimits(min_notional=D(6)), rules=LEAST_5), TOO_LITTLE),
        (sized(Kind.OPEN, "1", rules=LEAST_5, mark=None), TOO_LITTLE),
        (sized(Kind.OPEN, "1", rules=UNREADABLE), TOO_LITTLE),
        (sized(Kind.CLOSE, "0.049", rules=LEAST_5), Sized(D("0.049"))),
        (sized(Kind.CLOSE, "0.049", rules=UNREADABLE, mark=None), Sized(D("0.049"))),
    ],
)
def test_an_order_that_does_not_only_reduce_has_the_exchanges_least_notional(
    found: Sized, expected: Sized
) -> None:
    assert found == expected


def test_an_open_that_was_shrunk_below_a_minimum_grows_to_it_within_its_permit_where_that_is_allowed() -> (
    None
):
    scale = "0.1"
    small = SizeLimits(apply_downsize=True, min_notional=D(5))
    may_grow = SizeLimits(apply_downsize=True, min_notional=D(5), allow_upsize=True)
    assert sized(Kind.OPEN, "0.06", small, scale=scale).error == "min_notional_check_failed"
    assert sized(Kind.OPEN, "0.06", may_grow, scale=scale) == Sized(D("0.05"))
    assert sized(Kind.OPEN, "0.04", may_grow, scale=scale).error == "min_notional_check_failed"


amounts = st.decimals(0, 1000, places=4)


@given(
    st.sampled_from([Kind.OPEN, Kind.ADD, Kind.CLOSE]),
    amounts,
    amounts | st.none(),
    st.decimals(0, 1, places=4),
    st.booleans(),
    st.booleans(),
    st.decimals(0, 100, places=2),
    st.decimals("0.01", 1000, places=2) | st.none(),
)
def test_no_order_is_larger_than_its_permit_nor_a_close_than_its_position(
    kind: Kind,
    quantity: Decimal,
    position: Decimal | None,
    scale: Decimal,
    downsize: bool,
    upsize: bool,
    least: Decimal,
    mark: Decimal | None,
) -> None:
    limits = SizeLimits(apply_downsize=downsize, allow_upsize=upsize, min_notional=least, max_notional=D(500))
    found = size_order(Permitted(kind, quantity, scale), RULES, limits, mark_price=mark, position=position)
    if found.error is not None:
        assert found.quantity == 0
        return
    assert 0 < found.quantity <= quantity and found.quantity % RULES.market_step == 0
    assert RULES.market_min <= found.quantity <= RULES.market_max
    if kind is Kind.CLOSE:
        assert position is None or found.quantity <= position
    else:
        assert mark is not None and least <= found.quantity * mark <= 500


@pytest.mark.parametrize(
    ("hint", "factor"),
    [
        (None, "1"), ("", "1"), (D("0.25"), "0.25"), ("0.5", "0.5"), ("1.7", "1"), (D(2), "1"),
        ("-1", "0"), ("much", "0"), (True, "0"), (D("NaN"), "0"), ([], "0"),
    ],
)  # fmt: skip
def test_a_hint_shrinks_and_one_that_cannot_be_read_opens_nothing(hint: object, factor: str) -> None:
    assert read_scale(hint) == D(factor)
