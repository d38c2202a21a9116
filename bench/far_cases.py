"""Case of a Redis that is far away: a relay delays what all services send to it and hear from it."""

from __future__ import annotations

from bench.contenders import Session
from bench.delay_relay import ROUND_TRIPS_MS
from bench.figures import Figure
from bench.plan_cases import burst, few, singles

_ONE = "one at a time"
_BURSTS = "five symbols", "all symbols"


def far_from_redis(session: Session) -> list[Figure]:
    """Measure single plans and bursts at each round trip, in the same session."""
    if session.far is None:
        raise ValueError("a case of a far Redis has a session behind a relay")
    plans, of_burst = session.stage.sizes.far_plans, session.stage.sizes.far_burst
    figures: list[Figure] = []
    answered: dict[int, list[float]] = {}
    for round_trip_ms in ROUND_TRIPS_MS:
        session.far.set_round_trip(round_trip_ms)
        case = case_name(round_trip_ms)
        p50, *_ = singles(session, case, plans)
        figures.append(Figure(case, f"{_ONE}, p50", "ms", p50.value))
        if round_trip_ms:
            figures.append(Figure(case, f"{_ONE}, p50 in round trips", "", p50.value / round_trip_ms))
        answered[round_trip_ms] = []
        for name, held in zip(_BURSTS, (few(session), session.stage.held), strict=True):
            rate, cpu, *_ = burst(session, held, case, of_burst)
            answered[round_trip_ms].append(rate.value)
            figures.append(Figure(case, f"{name}, plans answered", "/s", rate.value))
            figures.append(Figure(case, f"{name}, its CPU a plan", "µs", cpu.value))
    for round_trip_ms in ROUND_TRIPS_MS[:-1]:
        for name, here, near in zip(_BURSTS, answered[round_trip_ms], answered[0], strict=True):
            case = case_name(round_trip_ms)
            figures.append(Figure(case, f"{name}, plans answered ÷ at 0 ms", "", here / near))
    return figures


def case_name(round_trip_ms: int) -> str:
    """Return the name of the figures at a round trip."""
    return f"{round_trip_ms} ms from Redis"
