"""Reservations whose key Redis does not have: which of them cover their quantity all the same."""

from __future__ import annotations

from decimal import Decimal

from actors.permit_evaluator.assumed_state import SymbolBeliefs
from brain.plans.permit import Kind, OpenPermit
from brain.positions.position import Leg
from store.records import SymbolState

NOW_MS = 1_760_000_000_000
GONE = SymbolState()


def permit(plan_id: str, expires_ms: int = NOW_MS + 1) -> OpenPermit:
    return OpenPermit(plan_id, Leg.BOTH, Kind.CLOSE, "SELL", Decimal(1), expires_ms)


def lost(beliefs: SymbolBeliefs, ended: str = "") -> set[str]:
    return {each.plan_id for each in beliefs.of("A").lost_permits(NOW_MS, lambda plan_id: plan_id == ended)}


def reserved(beliefs: SymbolBeliefs, *plan_ids: str, committed: bool = True) -> None:
    for plan_id in plan_ids:
        beliefs.reserved(permit(plan_id), "A", f"{plan_id}-0", f"d{plan_id}")
        if committed:
            beliefs.committed("A", plan_id)


def test_what_was_committed_is_lost_where_its_key_is_gone_until_it_ends() -> None:
    beliefs = SymbolBeliefs()
    reserved(beliefs, "p1", "p2")
    beliefs.told("A", GONE, 0)
    assert lost(beliefs) == {"p1", "p2"}
    assert beliefs.of("A").live_permits(NOW_MS) == ()
    beliefs.told("A", GONE, 0)
    beliefs.told("A", SymbolState(permits_version="dp3", permits=(("p3", "BOTH|close|SELL|1|9"),)), 0)
    assert lost(beliefs) == {"p1", "p2"}
    assert lost(beliefs, ended="p1") == {"p2"}
    assert lost(beliefs) == {"p2"}


def test_what_another_version_of_the_key_lacks_was_released() -> None:
    beliefs = SymbolBeliefs()
    reserved(beliefs, "p1")
    beliefs.told("A", SymbolState(permits_version="r1-0"), 0)
    beliefs.told("A", GONE, 0)
    assert lost(beliefs) == set()


def test_an_unanswered_commit_counts_once_everything_else_was_delivered_again() -> None:
    beliefs = SymbolBeliefs()
    reserved(beliefs, "p1", "p2", committed=False)
    beliefs.told("A", GONE, 0)
    assert lost(beliefs) == set()
    beliefs.not_committed("A", "p1", "p1-0")
    beliefs.not_committed("A", "p2", "another entry of p2")
    beliefs.all_answered()
    assert lost(beliefs) == {"p2"}


def test_a_flood_of_symbols_makes_no_reservation_forgotten() -> None:
    beliefs = SymbolBeliefs()
    reserved(beliefs, "p1")
    for number in range(20_000):
        beliefs.of(f"S{number}")
    beliefs.told("A", GONE, 0)
    assert lost(beliefs) == {"p1"}


def test_at_a_takeover_what_redis_has_counts_and_of_what_it_lacks_the_reservations_of_before() -> None:
    beliefs = SymbolBeliefs()
    reserved(beliefs, "p1")
    beliefs.begin({"B": SymbolState(permits_version="d9-0", permits=(("p9", "BOTH|close|SELL|1|9"),))})
    assert lost(beliefs) == {"p1"}
    assert set(beliefs.of("B").permits) == {"p9"}
    assert not beliefs.of("A").told and not beliefs.of("B").told
    beliefs.begin({"A": SymbolState(permits_version="r1-0")})
    assert lost(beliefs) == {"p1"}
    assert beliefs.of("B").lost.keys() == {"p9"}


def test_at_a_takeover_what_others_released_is_released() -> None:
    beliefs = SymbolBeliefs()
    reserved(beliefs, "p1")
    beliefs.begin({"A": SymbolState(permits_version="r1-0")})
    assert lost(beliefs) == set()
    beliefs.begin({})
    assert lost(beliefs) == set()
