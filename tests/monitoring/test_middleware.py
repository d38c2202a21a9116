from __future__ import annotations

from monitoring.http.middleware import RateLimiter
from tests.monitoring.status_rig import SetClock


def test_a_burst_is_admitted_and_then_so_many_a_second() -> None:
    clock = SetClock()
    limiter = RateLimiter(clock, per_sec=2.0, burst=5)
    assert [limiter.admit() for _ in range(5)] == [0.0] * 5
    assert limiter.admit() == 0.5
    clock.advance(0.25)
    assert limiter.admit() == 0.25
    clock.advance(0.25)
    assert limiter.admit() == 0.0
    assert limiter.admit() == 0.5


def test_a_caller_that_asks_too_often_is_not_made_to_wait_longer_for_it() -> None:
    clock = SetClock()
    limiter = RateLimiter(clock, per_sec=2.0, burst=1)
    limiter.admit()
    for _ in range(100):
        limiter.admit()
    clock.advance(0.5)
    assert limiter.admit() == 0.0


def test_a_quiet_time_saves_up_no_more_than_a_burst() -> None:
    clock = SetClock()
    limiter = RateLimiter(clock, per_sec=2.0, burst=3)
    clock.advance(3600)
    assert [limiter.admit() > 0 for _ in range(4)] == [False, False, False, True]
