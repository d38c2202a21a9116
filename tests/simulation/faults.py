"""Everything that goes wrong, as a list that is drawn from the seed before the first second.

A list, so that a failing run can be tried again with less of it. Each fault ends by itself before the calm of
its round begins.
"""

from __future__ import annotations

from random import Random

import msgspec

from tests.simulation.chain_scene import bridge_of, has_intelligence, universe_of
from tests.simulation.scene import BY_SEED, Roles, governor_of, has_executor, reconcile_of

#: Faults strike in the first part of a round; then all must come right.
FAULTY_SEC = 300.0
CALM_SEC = 30.0
DONE_SEC = 18.0
QUIET_SEC = 1452.0
ROUND_SEC = FAULTY_SEC + CALM_SEC + DONE_SEC + QUIET_SEC
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
    "wiped_account": (2, 0.0, 0.0),
    "restored_position": (2, 0.0, 0.0),
    "event_dated_ahead": (3, 0.0, 0.0),
    "flat_both_row": (2, 0.0, 0.0),
    "deleted_key": (3, 0.0, 0.0),
    "accept_and_close": (3, 5.0, 60.0),
    "maintenance": (2, 2.0, 20.0),
    "v2_removed": (1, 0.0, 0.0),
    "exchange_clock": (4, 0.0, 0.0),
    "redis_clock": (2, 1.0, 15.0),
    "host_clock": (3, 3.0, 40.0),
    "demotion": (3, 0.0, 3.0),
    "eviction": (3, 0.0, 12.0),
    "rights_taken": (2, 1.0, 20.0),
    "entry_ahead": (2, 0.0, 0.0),
    "unknown_outcomes": (4, 10.0, 60.0),
}

#: Of seeds whose orders are sent by the service's own executor: what becomes of orders, and of those on whom
#: they depend.
ORDER_KINDS: dict[str, tuple[int, float, float]] = {
    "lost_orders": (5, 5.0, 40.0),
    "wrong_answers": (5, 5.0, 40.0),
    "too_many_orders": (1, 1.0, 8.0),
    "used_order_limit": (2, 2.0, 12.0),
    "hidden_orders": (5, 5.0, 40.0),
    "slow_fills": (3, 5.0, 40.0),
    "kill_point": (14, 0.2, 9.0),
    "lost_begin": (3, 4.0, 12.0),
    "trading_state": (2, 2.0, 15.0),
    "kill_switch": (2, 2.0, 15.0),
}
#: Of seeds in which the service's own Governor judges, or does so in the shadow: what becomes of its steps,
#: of the account that it reads, and of what operators and its neighbours say.
GOVERNOR_KINDS: dict[str, tuple[int, float, float]] = {
    "failing_account": (3, 5.0, 90.0),
    "governor_point": (8, 0.2, 9.0),
    "governor_calls": (4, 0.0, 0.0),
    "gain_or_loss": (6, 0.0, 0.0),
    "transfer": (3, 0.0, 0.0),
    "churn": (3, 5.0, 40.0),
    "risk_guard": (2, 5.0, 40.0),
    "budget": (5, 5.0, 120.0),
    "efficiency": (3, 5.0, 120.0),
    "unreadable_stats": (2, 0.0, 0.0),
    "governor_eviction": (2, 0.0, 0.0),
    "trading_state": (2, 2.0, 15.0),
    "kill_switch": (2, 2.0, 15.0),
}
#: Of seeds in which the service's own reconcile engine runs: what makes exchange and ledger differ, what
#: becomes of the exchange's lists and of the engine's steps, and those who hold and correct beside it.
RECONCILE_KINDS: dict[str, tuple[int, float, float]] = {
    "lost_results": (6, 3.0, 25.0),
    "trimmed_results": (3, 3.0, 15.0),
    "orphan_orders": (6, 0.0, 0.0),
    "outside_trade": (9, 0.0, 0.0),
    "two_causes": (3, 0.0, 0.0),
    "failing_history": (4, 3.0, 30.0),
    "refused_history": (1, 1.0, 8.0),
    "lagging_history": (3, 5.0, 30.0),
    "hand_correction": (4, 8.0, 8.0),
    "foreign_hold": (4, 3.0, 30.0),
    "released_hold": (2, 8.0, 8.0),
    "reconcile_point": (6, 0.2, 9.0),
    "reconcile_calls": (4, 0.0, 0.0),
    "reconcile_eviction": (2, 0.0, 0.0),
    "undone_fill": (4, 2.0, 2.0),
}
#: Of seeds in which the service's own intent bridge makes plans, or says which it would make.
BRIDGE_KINDS: dict[str, tuple[int, float, float]] = {
    "bridge_point": (8, 0.2, 9.0),
    "bridge_calls": (6, 0.0, 0.0),
    "bridge_eviction": (2, 0.0, 0.0),
    "lockdown": (3, 1.0, 15.0),
    "intents_again": (4, 0.0, 0.0),
    "many_intents": (2, 0.0, 0.0),
    "lost_intent_group": (2, 0.0, 0.0),
}
#: Of seeds in which results are counted.
INTELLIGENCE_KINDS: dict[str, tuple[int, float, float]] = {
    "intelligence_point": (6, 0.2, 9.0),
    "intelligence_calls": (5, 0.0, 0.0),
    "strange_results": (3, 0.0, 0.0),
    "lost_count_group": (2, 0.0, 0.0),
}
#: Of seeds in which the service publishes its own universe.
UNIVERSE_KINDS: dict[str, tuple[int, float, float]] = {
    "halted_symbol": (4, 20.0, 80.0),
    "universe_point": (3, 0.2, 9.0),
}
_ORDER_PAUSE_SEC = 12.0
_GOVERNOR_PAUSE_SEC = 9.0
_RECONCILE_PAUSE_SEC = 10.0
_BRIDGE_PAUSE_SEC, _INTELLIGENCE_PAUSE_SEC, _UNIVERSE_PAUSE_SEC = 10.0, 20.0, 40.0

#: How long the service stays away after a second refusal in a row, which the end of the first ban may meet
#: (seconds): there must be so much left of the faulty part, and before a kind of `KINDS_ALONE`.
_AFTERMATH_SEC = {"ban": 190.0, "too_many_requests": 190.0, "too_many_orders": 190.0, "maintenance": 35.0}


class Alone(msgspec.Struct, frozen=True):
    """A kind whose judge needs the field for itself: nothing else strikes from `BEFORE_SEC` before it begins
    until `after_sec` after its end. Durations in seconds."""

    weight: int
    shortest_sec: float
    longest_sec: float
    after_sec: float


#: What went wrong before is over by then, and its aftermath.
BEFORE_SEC = 25.0
#: At most one of these in a round.
KINDS_ALONE: dict[str, Alone] = {
    "flapping": Alone(3, 40.0, 60.0, 5.0),
    "odd_positions": Alone(3, 20.0, 30.0, 5.0),
    "odd_symbols": Alone(2, 20.0, 30.0, 5.0),
    "odd_marks": Alone(2, 70.0, 90.0, 5.0),
    "failovers": Alone(2, 20.0, 40.0, 5.0),
    "same_name": Alone(2, 30.0, 40.0, 10.0),
    # A second 418 keeps the service away for three minutes.
    "ban_without_header": Alone(2, 61.0, 70.0, 180.0),
    # The service stays away for five minutes: so it strikes as the round begins, and fills it.
    "forbidden": Alone(1, 10.0, 12.0, 300.0),
}
_ROUNDS_WITH_ONE_ALONE = 0.7
_PAUSE_SEC = 7.0
#: While the exchange's clock may have been stepped, claims are judged with an allowance: so in few seeds.
_SEEDS_WITH_STEPPED_EXCHANGE = 0.2


def draw_faults(
    seed: str,
    rounds: int,
    kinds: dict[str, tuple[int, float, float]] | None = None,
    *,
    roles: Roles = BY_SEED,
) -> list[Fault]:
    """Return the faults of a run of so many rounds."""
    faults = _draw_faults(seed, rounds, kinds)
    found = list(faults)
    if has_executor(seed, roles.executor):
        rng = Random(f"{seed}:order faults")
        found += _faults_beside(rng, rounds, faults, ORDER_KINDS, _ORDER_PAUSE_SEC)
    if governor_of(seed, roles.governor) != "off":
        rng = Random(f"{seed}:governor faults")
        found += _faults_beside(rng, rounds, faults, GOVERNOR_KINDS, _GOVERNOR_PAUSE_SEC)
    if reconcile_of(seed, roles.reconcile) != "off":
        rng = Random(f"{seed}:reconcile faults")
        found += _faults_beside(rng, rounds, faults, RECONCILE_KINDS, _RECONCILE_PAUSE_SEC)
    if bridge_of(seed, roles.intent_bridge) != "off":
        rng = Random(f"{seed}:bridge faults")
        found += _faults_beside(rng, rounds, faults, BRIDGE_KINDS, _BRIDGE_PAUSE_SEC)
    if has_intelligence(seed, roles.intelligence):
        rng = Random(f"{seed}:intelligence faults")
        found += _faults_beside(rng, rounds, faults, INTELLIGENCE_KINDS, _INTELLIGENCE_PAUSE_SEC)
    if universe_of(seed, roles.universe) == "on":
        rng = Random(f"{seed}:universe faults")
        found += _faults_beside(rng, rounds, faults, UNIVERSE_KINDS, _UNIVERSE_PAUSE_SEC)
    return sorted(found, key=lambda fault: fault.at_sec)


def _faults_beside(
    rng: Random,
    rounds: int,
    others: list[Fault],
    kinds: dict[str, tuple[int, float, float]],
    mean_pause_sec: float,
) -> list[Fault]:
    """Return what goes wrong with a role, beside these faults, and away from those that strike alone."""
    names, weights = list(kinds), [weight for weight, _, _ in kinds.values()]
    alone = [fault for fault in others if fault.kind in KINDS_ALONE]
    faults: list[Fault] = []
    for number in range(rounds):
        begin_sec = FIRST_ROUND_SEC + number * ROUND_SEC
        pause_sec = mean_pause_sec * rng.choice((0.5, 1.0, 2.0))
        at_sec = begin_sec + rng.expovariate(1 / pause_sec)
        while at_sec < begin_sec + FAULTY_SEC - 1:
            kind = rng.choices(names, weights)[0]
            for_sec = rng.uniform(*kinds[kind][1:])
            fault = Fault(kind, round(at_sec, 3), round(for_sec, 3), rng.random(), rng.randrange(1024))
            over_sec = _over_sec(fault)
            free = over_sec < begin_sec + FAULTY_SEC and not any(
                fault.at_sec < _over_sec(each) + KINDS_ALONE[each.kind].after_sec
                and over_sec > each.at_sec - BEFORE_SEC
                for each in alone
            )
            if free:
                faults.append(fault)
            at_sec += rng.expovariate(1 / pause_sec)
    return faults


def _draw_faults(seed: str, rounds: int, kinds: dict[str, tuple[int, float, float]] | None) -> list[Fault]:
    rng = Random(f"{seed}:faults")
    with_alone = kinds is None
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
            if for_sec + _AFTERMATH_SEC.get(kind, 0.0) < left_sec:
                faults.append(
                    Fault(kind, round(at_sec, 3), round(for_sec, 3), rng.random(), rng.randrange(64))
                )
            at_sec += rng.expovariate(1 / pause_sec)
        if with_alone and rng.random() < _ROUNDS_WITH_ONE_ALONE:
            faults = _with_one_alone(faults, begin_sec, rng)
    return faults


def _with_one_alone(faults: list[Fault], begin_sec: float, rng: Random) -> list[Fault]:
    """Return the faults with one of `KINDS_ALONE` in its round, and without those that disturb it.

    It strikes after the aftermath of earlier ones, and not at all where that leaves no time for it.
    """
    names = list(KINDS_ALONE)
    kind = rng.choices(names, [KINDS_ALONE[name].weight for name in names])[0]
    alone = KINDS_ALONE[kind]
    for_sec = rng.uniform(alone.shortest_sec, alone.longest_sec)
    latest_sec = FAULTY_SEC - for_sec - alone.after_sec - 1
    span_sec = (BEFORE_SEC, latest_sec) if latest_sec > BEFORE_SEC else (1.0, 4.0)
    at_sec = begin_sec + rng.uniform(*span_sec)
    earlier = [
        fault for fault in faults if begin_sec <= fault.at_sec < at_sec and fault.kind in _AFTERMATH_SEC
    ]
    at_sec = max([at_sec, *(_over_sec(fault) + BEFORE_SEC for fault in earlier)])
    if at_sec > begin_sec + max(span_sec):
        return faults
    over_sec = at_sec + for_sec + alone.after_sec
    kept = [fault for fault in faults if _over_sec(fault) < at_sec - BEFORE_SEC or fault.at_sec > over_sec]
    one = Fault(kind, round(at_sec, 3), round(for_sec, 3), rng.random(), rng.randrange(64))
    return sorted([*kept, one], key=lambda fault: fault.at_sec)


def _over_sec(fault: Fault) -> float:
    """Return when the fault and its aftermath are over."""
    return fault.at_sec + fault.for_sec + _AFTERMATH_SEC.get(fault.kind, 0.0)
