from __future__ import annotations

from decimal import Decimal

import pytest

from brain.ledger.ledger import LedgerLegs
from brain.moment import Moment
from brain.positions.position import Leg, LegPosition, Snapshot, VerifiedBy
from monitoring.ledger_comparison import LedgerComparison
from page.content import Holding
from page.tone import Tone

AT = Moment(1000.0, 1_790_000_000_000)


def snapshot(symbol: str, *amounts: str, mark: str = "1", changed_ms: int = 0) -> Snapshot:
    legs = (Leg.BOTH,) if len(amounts) == 1 else (Leg.LONG, Leg.SHORT)
    rows = tuple(
        LegPosition(leg, Decimal(amount), Decimal(1), changed_ms)
        for leg, amount in zip(legs, amounts, strict=True)
    )
    return Snapshot(symbol, rows, Decimal(1), Decimal(mark), 0, AT, VerifiedBy.REST)


def row(comparison: LedgerComparison, exchange: str, ledger: float | None) -> Holding | None:
    ledgers = {} if ledger is None else {"BTCUSDT": ledger}
    rows = comparison.compare([snapshot("BTCUSDT", exchange)], ledgers, AT).rows
    return rows[0] if rows else None


def comparison() -> LedgerComparison:
    return LedgerComparison(Decimal("1.0"))


def test_amounts_that_differ_by_no_more_than_is_tolerated_agree() -> None:
    for exchange, ledger in (("0.038", 0.038), ("100", 99.0), ("-100", -101.0)):
        seen = row(comparison(), exchange, ledger)
        assert seen is not None
        assert (seen.difference, seen.tone) == (None, Tone.GOOD)


def test_a_larger_difference_is_shown_exactly() -> None:
    for exchange, ledger, difference in (
        ("100", 98.99, "1.01"),
        ("0.3", 0.1, "0.2"),
        ("0", 0.002, "-0.002"),
        ("-0.038", 0.038, "-0.076"),
        ("1", 0.0, "1"),
    ):
        seen = row(comparison(), exchange, ledger)
        assert seen is not None
        assert seen.difference == difference


def test_flat_on_both_sides_is_not_shown_and_a_missing_ledger_is() -> None:
    assert row(comparison(), "0", 0.0) is None
    assert row(comparison(), "0", None) is None
    seen = row(comparison(), "1", None)
    assert seen is not None
    assert (seen.ledger, seen.difference, seen.tone) == (None, None, Tone.WATCH)


def test_a_mismatch_is_worth_a_worry_only_when_it_stays() -> None:
    compared, snapshots, ledgers = comparison(), [snapshot("BTCUSDT", "1")], {"BTCUSDT": 0.0}
    (first,) = compared.compare(snapshots, ledgers, AT).rows
    assert (first.apart_sec, first.tone) == (0.0, Tone.WATCH)
    (later,) = compared.compare(snapshots, ledgers, AT.earlier_by(-5.0)).rows
    assert (later.apart_sec, later.tone) == (5.0, Tone.BAD)
    compared.compare(snapshots, {"BTCUSDT": 1.0}, AT.earlier_by(-6.0))
    (again,) = compared.compare(snapshots, ledgers, AT.earlier_by(-7.0)).rows
    assert again.apart_sec == 0.0


def test_before_anybody_looked_a_mismatch_counts_from_the_last_change_on_the_exchange() -> None:
    compared, ledgers = comparison(), {"BTCUSDT": 0.0}
    changed = [snapshot("BTCUSDT", "1", changed_ms=AT.wall_ms - 7_000)]
    (first,) = compared.compare(changed, ledgers, AT).rows
    assert (first.apart_sec, first.tone) == (7.0, Tone.BAD)
    (later,) = compared.compare(changed, ledgers, AT.earlier_by(-1.0)).rows
    assert later.apart_sec == 8.0


def test_a_mismatch_is_no_older_than_the_last_look_that_saw_none() -> None:
    changed = [snapshot("BTCUSDT", "1", changed_ms=AT.wall_ms - 3_600_000)]
    for pause_sec, apart_sec in ((9.0, 0.0), (11.0, 11.0), (7200.0, 7200.0)):
        compared = comparison()
        compared.compare(changed, {"BTCUSDT": 1.0}, AT)
        (seen,) = compared.compare(changed, {"BTCUSDT": 0.0}, AT.earlier_by(-pause_sec)).rows
        assert seen.apart_sec == apart_sec


def test_mismatches_come_first_and_then_what_is_worth_the_most() -> None:
    snapshots = [
        snapshot("SMALL", "1", mark="10"),
        snapshot("LARGE", "-3", mark="100"),
        snapshot("APART", "1"),
    ]
    seen = comparison().compare(snapshots, {"SMALL": 1.0, "LARGE": -3.0, "APART": 0.5}, AT)
    assert [each.symbol for each in seen.rows] == ["APART", "LARGE", "SMALL"]
    assert (seen.apart, seen.left_out, seen.tolerance_pct) == (1, 0, "1")


def test_the_table_is_bounded() -> None:
    seen = comparison().compare([snapshot(f"S{number}", "1") for number in range(150)], {}, AT)
    assert (len(seen.rows), seen.left_out) == (100, 50)


def hedged(long: str, short: str) -> LedgerComparison:
    legs = {"BTCUSDT": LedgerLegs(Decimal(long), Decimal(short))}
    return LedgerComparison(Decimal("1.0"), legs=lambda: legs)


@pytest.mark.parametrize(
    ("exchange", "ledger", "leg", "amounts"),
    [
        (("5", "-5"), ("3", "-3"), "LONG", ("5", "3", "2")),
        (("5", "-3"), ("4", "-2"), "LONG", ("5", "4", "1")),
        (("0", "-0"), ("5", "-5"), "LONG", ("0", "5", "-5")),
        (("100", "-5"), ("100.5", "-5.5"), "SHORT", ("-5", "-5.5", "0.5")),
    ],
)
def test_legs_that_differ_with_equal_sums_are_a_mismatch(
    exchange: tuple[str, str], ledger: tuple[str, str], leg: str, amounts: tuple[str, str, str]
) -> None:
    gauge = float(sum(map(Decimal, ledger)))
    for found in (
        hedged(*ledger).compare([snapshot("BTCUSDT", *exchange)], {"BTCUSDT": gauge}, AT).rows,
        hedged(*ledger).mismatches([snapshot("BTCUSDT", *exchange)], {"BTCUSDT": gauge}, AT),
    ):
        (seen,) = found
        assert (seen.leg, seen.exchange, seen.ledger, seen.difference) == (leg, *amounts)
        assert seen.apart_sec == 0.0


def test_legs_that_agree_are_none_and_neither_are_those_read_before_a_booking() -> None:
    both = [snapshot("BTCUSDT", "5", "-5")]
    assert hedged("5", "-5").compare(both, {"BTCUSDT": 0.0}, AT).rows == ()
    assert hedged("5.01", "-5.01").compare(both, {"BTCUSDT": 0.0}, AT).rows == ()
    assert hedged("5", "-5").mismatches([snapshot("BTCUSDT", "6", "-5")], {"BTCUSDT": 1.0}, AT) == []
    assert hedged("5", "-5").mismatches(both, {}, AT) == []
    (net,) = hedged("5", "-5").mismatches([snapshot("BTCUSDT", "6", "-5")], {"BTCUSDT": 0.0}, AT)
    assert (net.leg, net.exchange, net.ledger) == ("", "1", "0")


def test_legs_count_with_their_sum() -> None:
    seen = comparison().compare([snapshot("BTCUSDT", "3", "-1")], {"BTCUSDT": 2.0}, AT)
    assert [(each.exchange, each.difference) for each in seen.rows] == [("2", None)]
