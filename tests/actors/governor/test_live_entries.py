"""Sums over live grants, which agree with a walk over all of them whatever comes in which order."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from actors.governor.live_entries import LiveEntries
from brain.governor.exposure import Holdings, exposure_of
from brain.governor.grants import Grant
from brain.identifiers import PlanId, Symbol
from brain.plans.permit import Kind
from brain.positions.position import Leg

SYMBOLS = [Symbol(name) for name in ("AUSDT", "BUSDT", "CUSDT")]
HELD = Holdings({"AUSDT": Decimal(50), "DUSDT": Decimal("7.5")}, Decimal("57.5"))

grants = st.builds(
    Grant,
    plan_id=st.sampled_from([PlanId(f"p{number}") for number in range(6)]),
    symbol=st.sampled_from(SYMBOLS),
    kind=st.sampled_from([Kind.OPEN, Kind.ADD]),
    leg=st.just(Leg.BOTH),
    quantity=st.just(Decimal(1)),
    notional=st.decimals("0.00000001", 10**9, places=8),
    granted_ms=st.just(0),
    ends_ms=st.integers(1, 30),
    filled_ms=st.one_of(st.none(), st.integers(1, 30)),
)
steps = st.lists(st.one_of(grants, st.sampled_from([PlanId(f"p{number}") for number in range(6)])))


@given(steps, st.integers(0, 40), st.sampled_from([*SYMBOLS, Symbol("DUSDT"), Symbol("EUSDT")]))
def test_an_exposure_is_that_of_a_walk_over_all_grants(
    done: list[Grant | PlanId], now_ms: int, symbol: Symbol
) -> None:
    entries, kept = LiveEntries(), dict[PlanId, Grant]()
    for step in done:
        if isinstance(step, Grant):
            entries.add(step)
            kept[step.plan_id] = step
        else:
            entries.remove(step)
            kept.pop(step, None)
    assert entries.exposure(HELD, symbol, now_ms) == exposure_of(HELD, kept.values(), symbol, now_ms)
    assert {each.plan_id for name in SYMBOLS for each in entries.of(name)} == kept.keys()
    assert entries.filled.keys() == {each.plan_id for each in kept.values() if each.filled_ms is not None}


def test_a_fill_that_a_snapshot_shows_counts_no_more_and_stays_to_be_ended() -> None:
    entries = LiveEntries()
    filled = Grant(
        plan_id=PlanId("p"), symbol=SYMBOLS[0], kind=Kind.OPEN, leg=Leg.BOTH, quantity=Decimal(1),
        notional=Decimal(9), granted_ms=0, ends_ms=5, filled_ms=3,
    )  # fmt: skip
    entries.add(filled)
    assert entries.notional == 9
    entries.discount(filled.plan_id)
    entries.discount(filled.plan_id)
    assert entries.notional == 0
    assert list(entries.filled) == ["p"]
    entries.add(replace(filled, notional=Decimal(4)))
    assert entries.notional == 4
