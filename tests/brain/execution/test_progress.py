"""Records move forward alone, whatever order and repetition the exchange shows."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from brain.execution import progress
from brain.execution.orders import OrderState, OrderStatus, client_order_id
from brain.execution.record import OrderPhase, OrderRecord
from brain.identifiers import ClientOrderId, EntryId, OrderId, PlanId, Symbol
from brain.positions.position import Leg

PLAN, BTC = PlanId("p1"), Symbol("BTCUSDT")
RECORD = OrderRecord(
    plan_id=PLAN,
    phase=OrderPhase.SENDING,
    symbol=BTC,
    side="BUY",
    leg=Leg.BOTH,
    kind="open",
    quantity=Decimal(5),
    reduce_only=False,
    client_order_id=client_order_id("quantum", PLAN),
    timestamp_ms=1_000_000,
    recv_window_ms=3_000,
    decision="EXECUTE",
    action="ENTRY_PROPOSED",
    source="",
    instance="me",
    stream="quantum:stream:apply.plan",
    entry_id=EntryId("1-0"),
)


def shown(
    status: str, filled: str, price: str | None = None, client_id: ClientOrderId = RECORD.client_order_id
) -> OrderState:
    return OrderState(
        symbol=BTC,
        leg=Leg.BOTH,
        side="BUY",
        order_id=OrderId("7"),
        client_order_id=client_id,
        status=OrderStatus(status),
        cumulative=Decimal(filled),
        average_price=None if price is None else Decimal(price),
        update_ms=1,
    )


#: An order's life at the exchange: fills that grow, and perhaps an end.
lives = st.tuples(
    st.lists(st.integers(1, 5), max_size=4, unique=True).map(sorted),
    st.sampled_from(["", "FILLED", "CANCELED", "EXPIRED", "EXPIRED_IN_MATCH", "REJECTED"]),
)


def states_of(life: tuple[list[int], str]) -> list[OrderState]:
    fills, end = life
    states = [shown("NEW", "0"), *(shown("PARTIALLY_FILLED", str(fill)) for fill in fills)]
    return [*states, shown(end, str(fills[-1] if fills else 0))] if end else states


@st.composite
def views(draw: st.DrawFn) -> tuple[list[OrderState], list[OrderState]]:
    """Draw an order's life, and what the executor sees of it: states in any order, some of them repeated."""
    states = states_of(draw(lives))
    return states, draw(st.lists(st.sampled_from(states), min_size=1, max_size=12))


def follow(seen: list[OrderState]) -> tuple[OrderRecord, list[OrderRecord]]:
    """Return the record in the end, and the versions that were published."""
    record, published = RECORD, []
    for state in seen:
        known = progress.observe(record, state)
        if progress.changes(record, known):
            after = progress.next_version(record, known)
            if progress.result_due(record, known):
                published.append(after)
            record = after
    return record, published


@given(views())
def test_the_filled_quantity_never_shrinks_and_what_is_final_stays_so(
    view: tuple[list[OrderState], list[OrderState]],
) -> None:
    record = RECORD
    for state in view[1]:
        known = progress.observe(record, state)
        assert known.cumulative >= record.cumulative
        assert known.phase is OrderPhase.FINAL or record.phase is not OrderPhase.FINAL
        record = progress.next_version(record, known)


@given(views())
def test_each_growth_and_the_end_are_published_once(
    view: tuple[list[OrderState], list[OrderState]],
) -> None:
    record, published = follow(view[1])
    steps = [(each.cumulative, each.phase) for each in published]
    assert len(set(steps)) == len(steps)
    quantities = [each.cumulative for each in published]
    assert quantities == sorted(quantities)
    assert [each.phase for each in published].count(OrderPhase.FINAL) <= 1 + len(set(quantities))
    if record.phase is OrderPhase.FINAL:
        assert published[-1].cumulative == record.cumulative
    assert record.cumulative == max(state.cumulative for state in view[1])


@given(views(), st.randoms(use_true_random=False))
def test_the_order_in_which_states_are_seen_does_not_matter_for_the_quantity_and_the_end(
    view: tuple[list[OrderState], list[OrderState]], random: object
) -> None:
    forwards, _ = follow(view[1])
    backwards, _ = follow(view[1][::-1])
    assert forwards.cumulative == backwards.cumulative
    assert forwards.phase is backwards.phase


def test_an_order_of_another_client_order_id_shows_nothing() -> None:
    assert progress.observe(RECORD, shown("FILLED", "5", client_id=ClientOrderId("p33-0"))) is RECORD


@pytest.mark.parametrize("phase", [OrderPhase.SENDING, OrderPhase.UNKNOWN])
def test_a_refusal_ends_a_record_without_an_order(phase: OrderPhase) -> None:
    record = msgspec.structs.replace(RECORD, phase=phase)
    ended = progress.refuse(record, "binance_error:-2019")
    assert (ended.phase, ended.error) == (OrderPhase.FINAL, "binance_error:-2019")
    assert progress.result_due(record, ended)


def test_no_refusal_and_no_absence_outweighs_an_order_that_was_seen() -> None:
    working = progress.observe(RECORD, shown("NEW", "0"))
    assert progress.refuse(working, "order_not_found") is working
    assert progress.lose_track(working) is working


def test_an_order_that_is_taken_and_not_filled_is_not_published_yet() -> None:
    assert not progress.result_due(RECORD, progress.observe(RECORD, shown("NEW", "0")))


def test_an_order_that_ends_without_a_fill_is_published() -> None:
    known = progress.observe(RECORD, shown("EXPIRED", "0"))
    assert progress.result_due(RECORD, known) and progress.was_seen(known)


def test_an_order_that_appears_behind_its_end_is_late_and_published() -> None:
    ended = progress.next_version(RECORD, progress.refuse(RECORD, "order_not_found"))
    for state in (shown("NEW", "0"), shown("PARTIALLY_FILLED", "1"), shown("FILLED", "5")):
        known = progress.observe(ended, state)
        assert progress.is_late(ended, known)
        assert known.error == ""
    assert not progress.is_late(RECORD, progress.observe(RECORD, shown("FILLED", "5")))


def test_a_larger_fill_behind_a_final_state_is_published() -> None:
    final = progress.next_version(RECORD, progress.observe(RECORD, shown("FILLED", "4")))
    known = progress.observe(final, shown("FILLED", "5"))
    assert progress.result_due(final, known) and known.cumulative == Decimal(5)


def test_an_average_price_alone_is_kept_and_makes_no_version() -> None:
    final = progress.next_version(RECORD, progress.observe(RECORD, shown("FILLED", "5")))
    known = progress.observe(final, shown("FILLED", "5", "99"))
    assert known.average_price == Decimal(99) and not progress.changes(final, known)


def test_the_knowledge_of_two_processes_of_one_order_adds_up() -> None:
    stored = progress.next_version(RECORD, progress.observe(RECORD, shown("PARTIALLY_FILLED", "2")))
    known = progress.observe(RECORD, shown("FILLED", "5", "99"))
    merged = progress.merge(stored, known)
    assert (merged.cumulative, merged.status) == (Decimal(5), "FILLED")
    filled = progress.observe(RECORD, shown("FILLED", "5"))
    assert progress.merge(filled, progress.lose_track(RECORD)) is filled
    refused = progress.refuse(RECORD, "binance_error:-2019")
    assert progress.merge(RECORD, refused).error == "binance_error:-2019"
