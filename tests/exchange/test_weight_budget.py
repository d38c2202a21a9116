from __future__ import annotations

from contextlib import suppress
from random import Random

import pytest

from exchange.errors import BudgetExhausted, RateLimited
from exchange.protocol import Priority
from exchange.weight_budget import WeightBudget
from tests.exchange.parts import HandClock

PACED, PERIODIC, ON_DEMAND = Priority.PACED, Priority.PERIODIC, Priority.ON_DEMAND
RECOVERY, VITAL = Priority.RECOVERY, Priority.VITAL


@pytest.fixture
def clock() -> HandClock:
    clock = HandClock()
    clock.wall_ms -= clock.wall_ms % 60_000
    return clock


def spend(budget: WeightBudget, weight: int, priority: Priority = VITAL, *, each: int = 5) -> None:
    for _ in range(weight // each):
        budget.reserve(each, priority)


def refusal(budget: WeightBudget, weight: int, priority: Priority) -> BudgetExhausted:
    with pytest.raises(BudgetExhausted) as raised:
        budget.reserve(weight, priority)
    return raised.value


def test_periodic_reads_leave_room_for_decisions_and_those_for_the_listen_key(clock: HandClock) -> None:
    budget = WeightBudget(clock, 100)
    spend(budget, 80, PERIODIC)
    refusal(budget, 5, PERIODIC)
    spend(budget, 10, ON_DEMAND)
    refusal(budget, 5, ON_DEMAND)
    spend(budget, 5, RECOVERY)
    refusal(budget, 5, RECOVERY)
    spend(budget, 5, VITAL)
    refusal(budget, 1, VITAL)
    assert budget.own_used == 100


def test_a_request_that_waits_until_there_is_room_does_not_wait_for_that_very_moment() -> None:
    """Times are binary fractions: 60 s after a moment, that moment may not be 60 s ago."""
    rng = Random(1)  # noqa: S311 - no secret
    for _ in range(2_000):
        clock = HandClock()
        clock.monotonic_sec = rng.uniform(1.0, 5_000.0)
        budget = WeightBudget(clock, 5)
        budget.reserve(5, VITAL)
        clock.monotonic_sec += rng.uniform(1.0, 59.0)
        clock.monotonic_sec = refusal(budget, 5, VITAL).until.monotonic_sec
        with suppress(BudgetExhausted):
            budget.reserve(5, VITAL)
            continue
        assert refusal(budget, 5, VITAL).until.monotonic_sec > clock.monotonic_sec


@pytest.mark.parametrize(("steady", "kept"), [(PERIODIC, 30), (PACED, 80)], ids=["bulk", "per symbol"])
def test_decisions_never_use_what_polls_and_audits_need(
    steady: Priority, kept: int, clock: HandClock
) -> None:
    budget = WeightBudget(clock, 100)
    budget.reserve(5, steady)
    spend(budget, 90 - kept, ON_DEMAND)
    assert refusal(budget, 5, ON_DEMAND).until.monotonic_sec == pytest.approx(clock.monotonic_sec + 60)
    spend(budget, kept - 5, steady)
    refusal(budget, 5, steady)
    spend(budget, 5, RECOVERY)
    assert budget.own_used == 95


def test_weight_that_paced_reads_no_longer_need_is_there_for_decisions_a_minute_later(
    clock: HandClock,
) -> None:
    budget = WeightBudget(clock, 100)
    spend(budget, 40, PACED)
    spend(budget, 10, ON_DEMAND)
    clock.turn(60)
    spend(budget, 60, ON_DEMAND)
    assert budget.own_used == 60


def test_exhaustion_names_the_time_of_the_next_room(clock: HandClock) -> None:
    budget = WeightBudget(clock, 100)
    budget.reserve(60, PERIODIC)
    clock.turn(20)
    budget.reserve(20, PERIODIC)
    assert refusal(budget, 5, PERIODIC).until.monotonic_sec == pytest.approx(clock.monotonic_sec + 40)
    clock.turn(40)
    budget.reserve(5, PERIODIC)


def test_any_sixty_seconds_hold_no_more_than_our_share(clock: HandClock) -> None:
    budget = WeightBudget(clock, 50)
    sent: list[float] = []
    for _ in range(600):
        clock.turn(0.5)
        try:
            budget.reserve(5, PERIODIC)
        except BudgetExhausted:
            continue
        sent.append(clock.monotonic_sec)
    for start in sent:
        assert 5 * sum(start <= moment < start + 60 for moment in sent) <= 40
    assert len(sent) >= 5 * 8


def test_weight_of_others_at_this_address_counts_until_the_exchanges_minute_ends(clock: HandClock) -> None:
    budget = WeightBudget(clock, 1200)
    clock.turn(10)
    budget.used_by_address(2390, clock.now())
    assert refusal(budget, 1, VITAL).until.monotonic_sec == pytest.approx(clock.monotonic_sec + 50)
    clock.turn(50)
    budget.reserve(1, VITAL)


def test_weight_sent_since_the_exchange_counted_is_added_to_its_count(clock: HandClock) -> None:
    budget = WeightBudget(clock, 1200)
    budget.used_by_address(2140, clock.now())
    spend(budget, 20)
    assert budget.address_used == 2160
    refusal(budget, 1, VITAL)


def test_an_overtaken_answer_does_not_lower_the_count(clock: HandClock) -> None:
    budget = WeightBudget(clock, 1200)
    sent = clock.now()
    budget.used_by_address(2390, sent)
    budget.used_by_address(1995, sent)
    refusal(budget, 1, VITAL)


def test_an_answer_from_over_the_end_of_a_minute_says_nothing_of_the_next_one(clock: HandClock) -> None:
    budget = WeightBudget(clock, 1200)
    clock.turn(59.9)
    sent = budget.reserve(1, VITAL)
    clock.turn(0.2)
    budget.used_by_address(2390, sent)
    assert budget.address_used == 0
    budget.used_by_address(2390, budget.reserve(1, VITAL))
    refusal(budget, 1, VITAL)


def test_a_ban_stops_every_priority_and_ends_by_the_monotonic_clock(clock: HandClock) -> None:
    shown: list[int] = []
    budget = WeightBudget(clock, 1200, on_ban=shown.append)
    until = budget.ban(30)
    assert budget.banned_for_sec == 30
    assert shown == [clock.wall_ms + 30_000]
    for priority in Priority:
        with pytest.raises(RateLimited) as limited:
            budget.reserve(1, priority)
        assert limited.value.until == until
    clock.wall_ms += 3_600_000
    with pytest.raises(RateLimited):
        budget.reserve(1, VITAL)
    clock.turn(30)
    assert budget.banned_until is None
    assert budget.banned_for_sec == 0
    budget.reserve(1, VITAL)


def test_a_shorter_ban_does_not_cut_a_standing_one(clock: HandClock) -> None:
    shown: list[int] = []
    budget = WeightBudget(clock, 1200, on_ban=shown.append)
    until = budget.ban(60)
    assert budget.ban(5) == until
    assert len(shown) == 1


def test_a_remembered_ban_holds_in_a_new_process_and_a_finished_one_does_not(clock: HandClock) -> None:
    budget = WeightBudget(clock, 1200, banned_until_wall_ms=clock.wall_ms + 60_000)
    with pytest.raises(RateLimited):
        budget.reserve(1, VITAL)
    clock.turn(60)
    budget.reserve(1, VITAL)
    WeightBudget(clock, 1200, banned_until_wall_ms=clock.wall_ms - 1).reserve(1, VITAL)


def test_a_remembered_ban_never_shortens_a_standing_one_and_may_lengthen_it(clock: HandClock) -> None:
    budget = WeightBudget(clock, 1200)
    until = budget.ban(60)
    budget.recall_ban(clock.wall_ms + 5_000)
    assert budget.banned_until == until
    budget.recall_ban(clock.wall_ms + 90_000)
    assert budget.banned_for_sec == 90


def test_a_remembered_ban_of_a_senseless_length_ends_after_three_days(clock: HandClock) -> None:
    budget = WeightBudget(clock, 1200, banned_until_wall_ms=clock.wall_ms * 2)
    clock.turn(3 * 86_400)
    budget.reserve(1, VITAL)
