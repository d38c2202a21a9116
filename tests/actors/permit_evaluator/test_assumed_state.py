"""Reservations whose key Redis does not have: which of them cover their quantity all the same."""

from __future__ import annotations

from decimal import Decimal

import pytest

from actors.permit_evaluator.assumed_state import AssumedStates
from brain.identifiers import EntryId, PlanId, Symbol
from brain.plans.permit import Kind, OpenPermit
from brain.positions.position import Leg
from store.records import SymbolState

NOW_MS = 1_760_000_000_000
GONE = SymbolState()


def permit(plan_id: str, expires_ms: int = NOW_MS + 1) -> OpenPermit:
    return OpenPermit(PlanId(plan_id), Leg.BOTH, Kind.CLOSE, "SELL", Decimal(1), expires_ms)


def lost(states: AssumedStates, ended: str = "") -> set[str]:
    return {each.plan_id for each in states.of("A").lost_permits(NOW_MS, lambda plan_id: plan_id == ended)}


def reserved(states: AssumedStates, *plan_ids: str, committed: bool = True) -> None:
    for plan_id in plan_ids:
        states.reserved(permit(plan_id), Symbol("A"), EntryId(f"{plan_id}-0"), f"d{plan_id}")
        if committed:
            states.committed(Symbol("A"), PlanId(plan_id))


@pytest.fixture
def states() -> AssumedStates:
    return AssumedStates()


def test_a_reservation_is_lost_where_its_key_is_gone_until_it_ends(states: AssumedStates) -> None:
    reserved(states, "p1", "p2")
    states.learn("A", GONE, 0)
    assert lost(states) == {"p1", "p2"}
    assert states.of("A").live_permits(NOW_MS) == ()
    states.learn("A", GONE, 0)
    states.learn("A", SymbolState(permits_version="dp3", permits=((PlanId("p3"), "BOTH|close|SELL|1|9"),)), 0)
    assert lost(states) == {"p1", "p2"}
    assert lost(states, ended="p1") == {"p2"}
    assert lost(states) == {"p2"}


def test_a_reservation_that_another_version_of_the_key_lacks_was_released(states: AssumedStates) -> None:
    reserved(states, "p1")
    states.learn("A", SymbolState(permits_version="r1-0"), 0)
    states.learn("A", GONE, 0)
    assert lost(states) == set()


def test_an_unanswered_commit_counts_once_everything_else_was_delivered_again(states: AssumedStates) -> None:
    reserved(states, "p1", "p2", committed=False)
    states.learn("A", GONE, 0)
    assert lost(states) == set()
    states.not_committed(Symbol("A"), PlanId("p1"), EntryId("p1-0"))
    states.not_committed(Symbol("A"), PlanId("p2"), EntryId("another entry of p2"))
    states.all_answered()
    assert lost(states) == {"p2"}


def test_a_flood_of_symbols_makes_no_reservation_forgotten(states: AssumedStates) -> None:
    reserved(states, "p1")
    for number in range(20_000):
        states.of(f"S{number}")
    states.learn("A", GONE, 0)
    assert lost(states) == {"p1"}


def test_at_a_takeover_what_redis_has_counts_and_of_what_it_lacks_the_reservations_of_before() -> None:
    states = AssumedStates()
    reserved(states, "p1")
    states.begin({"B": SymbolState(permits_version="d9-0", permits=((PlanId("p9"), "BOTH|close|SELL|1|9"),))})
    assert lost(states) == {"p1"}
    assert set(states.of("B").permits) == {"p9"}
    assert not states.of("A").from_redis and not states.of("B").from_redis
    states.begin({"A": SymbolState(permits_version="r1-0")})
    assert lost(states) == {"p1"}
    assert states.of("B").lost.keys() == {"p9"}


def test_at_a_takeover_what_others_released_is_released(states: AssumedStates) -> None:
    reserved(states, "p1")
    states.begin({"A": SymbolState(permits_version="r1-0")})
    assert lost(states) == set()
    states.begin({})
    assert lost(states) == set()
