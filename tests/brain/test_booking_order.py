"""Results may come in any order and any number of times: the ledger is the sum of what was filled."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from brain.identifiers import OrderId
from brain.ledger.booking import Booking, adopt, book
from brain.ledger.ledger import StoredLedger
from brain.ledger.order_memory import decode_memory
from brain.ledger.plan_mark import Joined
from brain.ledger.result import FilledOrder
from brain.numbers import ZERO, parse_decimal
from brain.positions.position import Leg, LegPosition

NOW = Decimal("1760000000.123")


def flat(leg: Leg) -> LegPosition:
    return LegPosition(leg, ZERO, ZERO, 0)


# One order of a random history: its leg, its side, and its cumulative quantities.
ORDERS = st.lists(
    st.tuples(
        st.sampled_from([Leg.LONG, Leg.SHORT]),
        st.sampled_from(["BUY", "SELL"]),
        st.lists(st.decimals(min_value="1e-8", max_value=10**6, places=8), min_size=1, max_size=4),
    ),
    max_size=6,
)


@given(ORDERS, st.booleans(), st.data())
def test_any_order_and_repetition_of_results_gives_the_same_ledger(
    orders: list[tuple[Leg, str, list[Decimal]]], hedge_mode: bool, data: st.DataObject
) -> None:
    named = [(number, quantity) for number, order in enumerate(orders) for quantity in order[2]]
    results = data.draw(
        st.permutations(named + (data.draw(st.lists(st.sampled_from(named))) if named else []))
    )
    start = adopt((flat(Leg.LONG), flat(Leg.SHORT)) if hedge_mode else (flat(Leg.BOTH),), now_sec=NOW)
    ledger = StoredLedger(start["last_known_amt"], None, None, start.get("long_amt"), start.get("short_amt"))
    version: str | None = "1"
    memories: dict[int, str] = {}
    changes = 0
    for number, quantity in results:
        leg, side, _ = orders[number]
        booking = book(
            FilledOrder(OrderId(str(number)), side, quantity, "PARTIALLY_FILLED", final=False),
            Joined(leg if hedge_mode else Leg.BOTH, side, moves_ledger=True),
            symbol="BTCUSDT",
            stored=ledger,
            stored_version=version,
            memory=decode_memory(memories[number]) if number in memories else None,
            permit=None,
            now_sec=NOW,
        )
        assert isinstance(booking, Booking), booking
        ledger = booking.ledger
        if booking.memory is not None:
            memories[number] = booking.memory
        if booking.fields is not None:
            changes += 1
            version = booking.fields["version"]
            assert booking.fields["last_known_amt"] == ledger.last_known_amt

    def sum_of(*legs: Leg) -> Decimal:
        signed = (max(sizes) * (1 if side == "BUY" else -1) for leg, side, sizes in orders if leg in legs)
        return sum(signed, ZERO)

    assert version == str(1 + changes)
    assert parse_decimal(ledger.last_known_amt or "") == sum_of(Leg.LONG, Leg.SHORT)
    if hedge_mode:
        assert parse_decimal(ledger.long_amt or "") == sum_of(Leg.LONG)
        assert parse_decimal(ledger.short_amt or "") == sum_of(Leg.SHORT)
