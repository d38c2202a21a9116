"""Grants as text, their effects when they are settled or end, and the exposure that they make."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from brain.governor.exposure import exposure_of, holdings
from brain.governor.grants import (
    Grant,
    UnreadableGrantError,
    epoch_sec,
    grant_of,
    grant_text,
    read_grant,
    utc_day,
)
from brain.governor.judging import judge
from brain.governor.settling import GrantEffect, average_price, executed_before, expire, settle
from brain.identifiers import OrderId, PlanId, Symbol
from brain.ledger.result import ExecutedResult, FilledOrder, RefusedResult, UnknownOrder
from brain.moment import Moment
from brain.plans.permit import Kind
from brain.positions.position import Leg, LegPosition, Snapshot, VerifiedBy
from tests.brain.cases import NOW_MS
from tests.brain.governor.cases import closing, grant, opening

LIFE_MS = 90_000
GRANTED_SEC = grant().granted_sec
DAY = utc_day(NOW_MS - 1000)
numbers = st.decimals("0", "1e9", places=8)


def executed(quantity: str, *, final: bool = True) -> ExecutedResult:
    status = "FILLED" if final else "PARTIALLY_FILLED"
    order = FilledOrder(OrderId("1"), "BUY", Decimal(quantity), status, final)
    return ExecutedResult(PlanId("granted"), Symbol("BTCUSDT"), (order,), None, "EXECUTE")


def refused(**changes: Any) -> RefusedResult:
    return RefusedResult(PlanId("granted"), Symbol("BTCUSDT"), **changes)


def settled(the_grant: Grant, result: ExecutedResult | RefusedResult, **changes: Any) -> GrantEffect | None:
    usual: dict[str, Any] = {
        "price": Decimal(59_000),
        "now_ms": NOW_MS,
        "life_ms": LIFE_MS,
        "last_exec_sec": GRANTED_SEC,
        "others": (),
    }
    return settle(the_grant, result, **(usual | changes))


def snapshot(symbol: str, mark: str | None, *legs: tuple[Leg, str]) -> Snapshot:
    rows = tuple(LegPosition(leg, Decimal(amount), None, 0) for leg, amount in legs)
    price = None if mark is None else Decimal(mark)
    return Snapshot(symbol, rows, None, price, 0, Moment(0.0, 0), VerifiedBy.REST)


@given(
    st.builds(
        Grant,
        plan_id=st.just(PlanId("p")),
        symbol=st.just(Symbol("BTCUSDT")),
        kind=st.sampled_from([Kind.OPEN, Kind.ADD, Kind.CLOSE]),
        leg=st.sampled_from(Leg),
        quantity=numbers,
        notional=numbers,
        granted_ms=st.integers(0, 2**45),
        ends_ms=st.integers(0, 2**45),
        mark=st.none() | numbers,
        filled=numbers,
        filled_ms=st.none() | st.integers(0, 2**45),
        executed_before_sec=st.none() | numbers,
    )
)
def test_a_grant_is_read_as_it_was_written(the_grant: Grant) -> None:
    assert read_grant(the_grant.plan_id, grant_text(the_grant).encode()) == the_grant


def test_a_grant_has_the_members_of_the_contract_as_numbers() -> None:
    stored = json.loads(grant_text(grant()))
    assert stored == {
        "symbol": "BTCUSDT",
        "kind": "open",
        "leg": "BOTH",
        "qty": 0.001,
        "notional": 60,
        "granted_ms": NOW_MS - 1000,
        "ends_ms": NOW_MS + 89_000,
        "mark": 60_000,
    }


@pytest.mark.parametrize(
    "text",
    [b"", b"{}", b"\xff", b"!", b'{"symbol":"A","kind":"open","leg":"BOTH","qty":null,"notional":1,'
     b'"granted_ms":1,"ends_ms":2}'],
)  # fmt: skip
def test_another_text_is_not_taken_for_a_grant(text: bytes) -> None:
    with pytest.raises(UnreadableGrantError, match="p: "):
        read_grant(PlanId("p"), text)


def test_a_grant_comes_from_a_judgement_that_orders_something() -> None:
    def made(case: Any) -> Grant | None:
        return grant_of(case, judge(case), leg=None, granted_ms=NOW_MS, life_ms=LIFE_MS)

    opened = made(opening())
    assert opened is not None
    assert [opened.kind, opened.quantity, opened.notional] == [Kind.OPEN, Decimal("0.001"), 60]
    assert opened.ends_ms == NOW_MS + LIFE_MS
    closed = made(closing())
    assert closed is not None
    assert [closed.kind, closed.notional, closed.mark] == [Kind.CLOSE, 0, None]
    hedged = grant_of(opening(), judge(opening()), leg=Leg.LONG, granted_ms=NOW_MS, life_ms=LIFE_MS)
    assert hedged is not None
    assert (hedged.leg, opened.leg) == (Leg.LONG, Leg.BOTH)
    assert made(opening(kill_switch=True)) is None
    assert made(closing(kind=Kind.NONE)) is None


def test_a_notional_is_rounded_up() -> None:
    case = opening(quantity=Decimal("0.0010000000001"), mark_price=Decimal("60000.001"))
    made = grant_of(case, judge(case), leg=None, granted_ms=NOW_MS, life_ms=LIFE_MS)
    assert made is not None
    assert made.notional == Decimal("60.00000101")


def test_a_final_fill_replaces_what_was_reserved() -> None:
    effect = settled(grant(), executed("0.0009"))
    assert effect is not None
    assert effect.becomes is not None
    assert (effect.becomes.notional, effect.becomes.quantity) == (Decimal("53.1"), Decimal("0.0009"))
    assert effect.becomes.filled_ms == NOW_MS
    assert effect.opened == Decimal("-6.9")
    assert effect.reduced == 0
    assert not effect.uncount
    assert effect.date == DAY
    assert effect.last_exec == "1760000000"
    assert settled(effect.becomes, executed("0.0009")) is None


def test_a_fill_without_a_price_counts_by_the_mark_of_the_grant_or_as_granted() -> None:
    by_mark = settled(grant(), executed("0.0005"), price=None)
    assert by_mark is not None
    assert by_mark.becomes is not None
    assert by_mark.becomes.notional == 30
    as_granted = settled(grant(mark=None), executed("0.0005"), price=None)
    assert as_granted is not None
    assert as_granted.becomes is not None
    assert as_granted.becomes.notional == 60


def test_an_order_that_still_works_keeps_its_grant_and_its_time_begins_anew() -> None:
    effect = settled(grant(), executed("0.0004", final=False))
    assert effect is not None
    working = effect.becomes
    assert working is not None
    assert [working.notional, working.filled, working.filled_ms] == [60, Decimal("23.6"), None]
    assert working.ends_ms == NOW_MS + LIFE_MS
    assert [effect.uncount, effect.opened, effect.last_exec] == [False, 0, None]
    ended = expire(working, now_ms=working.ends_ms, last_exec_sec=None, others=())
    assert ended is not None
    assert ended.becomes is not None
    assert (ended.becomes.notional, ended.opened) == (Decimal("23.6"), Decimal("-36.4"))
    assert not ended.uncount


@pytest.mark.parametrize("result", [refused(), executed("0")])
def test_a_grant_that_was_not_filled_gives_everything_back(result: ExecutedResult | RefusedResult) -> None:
    effect = settled(grant(), result)
    assert effect == GrantEffect(becomes=None, date=DAY, uncount=True, opened=Decimal(-60), last_exec="")


def test_an_unknown_outcome_changes_nothing() -> None:
    assert settled(grant(), refused(unknown=UnknownOrder())) is None


def test_the_refusal_of_an_executor_without_a_permit_ends_only_what_nobody_has_consumed() -> None:
    effect = settled(grant(), refused(had_no_permit=True))
    assert effect is not None
    assert effect.only_if_unconsumed
    plain_refusal = settled(grant(), refused())
    assert plain_refusal is not None
    assert not plain_refusal.only_if_unconsumed


def test_a_close_is_settled_in_the_sum_of_what_was_reduced() -> None:
    close = grant(kind=Kind.CLOSE)
    effect = settled(close, executed("0.001"), last_exec_sec=None)
    assert effect == GrantEffect(becomes=None, date=DAY, reduced=Decimal(-1), last_exec="1760000000")
    unfilled = settled(close, refused())
    assert unfilled == GrantEffect(becomes=None, date=DAY, reduced=Decimal(-60))


def test_a_grant_ends_by_itself_at_its_time() -> None:
    waiting = grant()
    usual: dict[str, Any] = {"last_exec_sec": GRANTED_SEC, "others": ()}
    assert expire(waiting, now_ms=waiting.ends_ms - 1, **usual) is None
    effect = expire(waiting, now_ms=waiting.ends_ms, **usual)
    assert effect == GrantEffect(becomes=None, date=DAY, uncount=True, opened=Decimal(-60), last_exec="")
    assert expire(grant(filled_ms=1), now_ms=waiting.ends_ms, **usual) is None


def test_the_cooldown_goes_back_to_the_execution_before() -> None:
    first_sec = GRANTED_SEC - 500

    def back(the_grant: Grant, last_sec: Decimal, others: tuple[Grant, ...] = ()) -> str | None:
        effect = settled(the_grant, refused(), last_exec_sec=last_sec, others=others)
        assert effect is not None
        return effect.last_exec

    assert back(grant(executed_before_sec=first_sec), GRANTED_SEC) == str(int(first_sec))
    assert back(grant(), GRANTED_SEC + 1) is None  # a later execution has taken its place
    earlier = grant(plan_id=PlanId("e"), granted_ms=NOW_MS - 70_000)
    assert back(grant(), GRANTED_SEC, (earlier,)) == "1759999930"
    elsewhere = msgspec.structs.replace(earlier, symbol=Symbol("ETHUSDT"))
    assert back(grant(), GRANTED_SEC, (elsewhere,)) == ""


def test_a_second_grant_remembers_the_last_settled_execution_not_the_first_grant() -> None:
    first = grant(executed_before_sec=Decimal(7))
    assert executed_before(first.granted_sec, [first]) == 7
    assert executed_before(Decimal(9), [first]) == 9
    assert executed_before(first.granted_sec, [msgspec.structs.replace(first, filled_ms=1)]) == GRANTED_SEC
    assert executed_before(None, []) is None


@pytest.mark.parametrize(
    ("fields", "price"),
    [
        ({b"avg_price": b"60000.5"}, Decimal("60000.5")),
        ({b"details": b'{"avg_price": 60000.50}'}, Decimal("60000.50")),
        ({b"details": b'{"avg_price": "1.5"}', b"avg_price": b""}, Decimal("1.5")),
        ({b"details": b'{"avg_price": null}'}, None),
        ({b"details": b"{"}, None),
        ({b"avg_price": b"0"}, None),
        ({b"avg_price": b"-1"}, None),
        ({b"avg_price": b"\xff"}, None),
        ({}, None),
    ],
)
def test_the_average_price_is_read_from_either_dialect(
    fields: dict[bytes, bytes], price: Decimal | None
) -> None:
    assert average_price(fields) == price


def test_the_time_of_a_grant_is_exact() -> None:
    assert epoch_sec(1_760_000_000_123) == Decimal("1760000000.123")
    assert utc_day(1_759_967_999_999) == "2025-10-08"
    assert utc_day(1_759_968_000_000) == "2025-10-09"


def test_exposure_is_that_of_positions_and_live_entries() -> None:
    held = holdings(
        [
            snapshot("BTCUSDT", "60000", (Leg.BOTH, "-0.01")),
            snapshot("ETHUSDT", "3000", (Leg.LONG, "0.1"), (Leg.SHORT, "-0.2")),
            snapshot("XRPUSDT", None, (Leg.BOTH, "0")),
        ]
    )
    assert held is not None
    assert [dict(held.notionals), held.total] == [{"BTCUSDT": 600, "ETHUSDT": 900}, 1500]
    grants = [
        grant(),
        grant(symbol=Symbol("SOLUSDT"), notional=Decimal(50)),
        grant(symbol=Symbol("ADAUSDT"), ends_ms=NOW_MS),
        grant(symbol=Symbol("DOTUSDT"), ends_ms=NOW_MS, filled_ms=NOW_MS - 5, notional=Decimal(7)),
        grant(symbol=Symbol("BNBUSDT"), kind=Kind.CLOSE, notional=Decimal(1000)),
    ]
    seen = exposure_of(held, grants, Symbol("BTCUSDT"), NOW_MS)
    assert (seen.symbols, seen.holds_symbol) == (4, True)
    assert [seen.positions_notional, seen.total_notional, seen.symbol_notional] == [1500, 1617, 660]
    other = exposure_of(held, grants, Symbol("ADAUSDT"), NOW_MS)
    assert [other.holds_symbol, other.symbol_notional] == [False, 0]


def test_a_position_without_a_mark_price_leaves_the_exposure_unknown() -> None:
    assert holdings([snapshot("BTCUSDT", None, (Leg.BOTH, "0.01"))]) is None
