"""The gate that refusals close."""

from __future__ import annotations

from brain.moment import Moment
from clocks.growing_delay import GrowingDelay
from exchange.request_gate import RequestGate

PAUSES = GrowingDelay(initial_sec=5, maximum_sec=100, factor=3)


def at(sec: float) -> Moment:
    return Moment(sec, 1_700_000_000_000 + round(sec * 1000))


def closed(gate: RequestGate, sec: float) -> float | None:
    until = gate.closed_until(at(sec))
    return None if until is None else until.monotonic_sec


def test_pauses_grow_with_each_refusal_in_a_row_up_to_the_longest() -> None:
    gate, now, pauses = RequestGate(), 0.0, []
    for _ in range(5):
        until = gate.refused(at(now), at(now), "refused", PAUSES).monotonic_sec
        pauses.append(until - now)
        now = until
    assert pauses == [5, 15, 45, 100, 100]
    gate.answered(at(now))
    assert gate.refused(at(now + 1), at(now + 1), "refused", PAUSES).monotonic_sec == now + 6


def test_requests_that_were_under_way_together_count_as_one_refusal() -> None:
    gate = RequestGate()
    for _ in range(4):
        gate.refused(at(0), at(1), "refused", PAUSES)
    assert closed(gate, 2) == 6


def test_each_kind_of_refusal_grows_by_itself() -> None:
    gate, banned = RequestGate(), GrowingDelay(initial_sec=60, maximum_sec=3600)
    gate.refused(at(0), at(0), "429", PAUSES)
    gate.refused(at(5), at(5), "429", PAUSES)
    assert gate.refused(at(20), at(20), "418", banned).monotonic_sec == 80
    assert gate.refused(at(80), at(80), "418", banned).monotonic_sec == 200
    assert gate.refused(at(200), at(200), "429", PAUSES).monotonic_sec == 245


def test_a_refusal_that_another_met_lets_one_request_try_and_makes_no_pause_longer() -> None:
    gate = RequestGate()
    gate.recall(at(5), "refused before")
    assert closed(gate, 4) == 5
    gate.sending(at(5))
    assert closed(gate, 5.5) == 6.5
    assert gate.refused(at(5), at(6), "refused", PAUSES).monotonic_sec == 11


def test_a_pause_that_another_request_asks_for_does_not_hide_a_refusal() -> None:
    gate = RequestGate()
    gate.refused(at(0), at(0), "refused", PAUSES)
    gate.sending(at(5))
    gate.recall(at(8), "refused before")
    assert gate.refused(at(5), at(6), "refused", PAUSES).monotonic_sec == 21


def test_an_answer_to_a_request_from_before_the_pause_does_not_end_it() -> None:
    gate = RequestGate()
    gate.refused(at(0), at(1), "refused", PAUSES)
    gate.answered(at(0.5))
    assert closed(gate, 2) == 6


def test_after_the_pause_one_request_tries_and_the_others_look_again_each_second() -> None:
    gate = RequestGate()
    gate.refused(at(0), at(0), "refused", PAUSES)
    assert closed(gate, 5) is None
    gate.sending(at(5))
    assert closed(gate, 5.5) == 6.5
    gate.unanswered(at(5))
    assert closed(gate, 6) is None
    gate.sending(at(6))
    # A request that never reports back holds the others up for 10 s at most.
    assert closed(gate, 15) == 16
    assert closed(gate, 16) is None
    gate.answered(at(6))
    gate.sending(at(17))
    assert closed(gate, 17) is None


def test_a_longer_pause_that_was_asked_for_counts_and_a_shorter_one_does_not() -> None:
    gate = RequestGate()
    gate.refused(at(0), at(0), "refused", PAUSES, 60)
    gate.refused(at(0), at(1), "refused", PAUSES, 2)
    assert closed(gate, 2) == 60
