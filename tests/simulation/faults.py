"""Everything that goes wrong, as a list that is drawn from the seed before the first second.

A list, so that a failing run can be tried again with less of it. Each fault ends by itself before the calm of
its round begins.
"""

from __future__ import annotations

from random import Random

import msgspec

#: Faults strike in the first part of a round; then all must come right.
FAULTY_SEC = 300.0
CALM_SEC = 30.0
SETTLED_SEC = 18.0
QUIET_SEC = 1452.0
ROUND_SEC = FAULTY_SEC + CALM_SEC + SETTLED_SEC + QUIET_SEC
#: The first round begins here: by then the service stands.
FIRST_ROUND_SEC = 30.0


class Fault(msgspec.Struct, frozen=True):
    """One thing that goes wrong, at `at_sec` of the run for `for_sec`. `size`, `which`: the kind's own."""

    kind: str
    at_sec: float
    for_sec: float
    size: float
    which: int


#: How often each kind is drawn, and how long it lasts (seconds).
KINDS: dict[str, tuple[int, float, float]] = {
    "actor_crash": (10, 0.0, 0.0),
    "call_crash": (10, 0.0, 0.0),
    "stall": (2, 12.0, 20.0),
    "slow_store": (3, 2.0, 20.0),
    "slow_rest": (4, 5.0, 40.0),
    "failing_rest": (4, 5.0, 30.0),
    "hanging_rest": (2, 3.0, 12.0),
    "too_many_requests": (1, 1.0, 10.0),
    "ban": (1, 10.0, 60.0),
    "stream_close": (5, 0.0, 0.0),
    "stream_freeze": (5, 1.0, 20.0),
    "stream_refused": (3, 2.0, 25.0),
    "late_events": (5, 3.0, 30.0),
    "lost_events": (3, 0.0, 0.0),
    "reordered_events": (3, 5.0, 30.0),
    "doubled_events": (2, 5.0, 30.0),
    "silent_move": (2, 0.0, 0.0),
    "listen_key_expiry": (2, 0.0, 0.0),
    "lost_request": (6, 0.0, 0.0),
    "lost_answer": (6, 0.0, 0.0),
    "redis_outage": (3, 0.2, 12.0),
    "redis_answers_lost": (3, 0.2, 5.0),
    "redis_restart": (2, 0.0, 0.0),
    "redis_loses_a_second": (2, 1.0, 1.0),
    "kill": (4, 0.2, 8.0),
    "terminate": (2, 0.2, 3.0),
    "cut_off": (4, 2.2, 8.0),
    "exchange_clock": (2, 0.0, 0.0),
    "redis_clock": (2, 0.0, 0.0),
    "host_clock": (2, 0.0, 0.0),
}
_PAUSE_SEC = 7.0
#: While the exchange's clock may have been stepped, claims are judged with an allowance: so in few seeds.
_SEEDS_WITH_STEPPED_EXCHANGE = 0.2


def draw_faults(
    seed: str, rounds: int, kinds: dict[str, tuple[int, float, float]] | None = None
) -> list[Fault]:
    """The faults of a run of so many rounds."""
    rng = Random(f"{seed}:faults")
    kinds = dict(KINDS if kinds is None else kinds)
    if rng.random() > _SEEDS_WITH_STEPPED_EXCHANGE:
        kinds.pop("exchange_clock", None)
    names, weights = list(kinds), [weight for weight, _, _ in kinds.values()]
    faults: list[Fault] = []
    for number in range(rounds):
        begin_sec = FIRST_ROUND_SEC + number * ROUND_SEC
        # A round has its mood: some kinds only, and more or less of them.
        mood = dict.fromkeys(rng.choices(names, weights, k=rng.choice((3, 6, 12, 40))))
        pause_sec = _PAUSE_SEC * rng.choice((0.5, 1.0, 2.0))
        at_sec = begin_sec + rng.expovariate(1 / pause_sec)
        while at_sec < begin_sec + FAULTY_SEC - 1:
            kind = rng.choice(list(mood))
            _, shortest_sec, longest_sec = kinds[kind]
            for_sec = rng.uniform(shortest_sec, longest_sec)
            left_sec = begin_sec + FAULTY_SEC - at_sec
            if for_sec < left_sec:
                faults.append(
                    Fault(kind, round(at_sec, 3), round(for_sec, 3), rng.random(), rng.randrange(64))
                )
            at_sec += rng.expovariate(1 / pause_sec)
    return faults
