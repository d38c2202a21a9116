"""Cases of plans and permits: latency of single plans and in open loops, throughput of a burst."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import count

from bench.account import Holding
from bench.contenders import CANDIDATES, Session, permit_watch, wait_until_answered
from bench.figures import DAEMON, DESKS, GOVERNED, PREDECESSOR, Figure, latency_figures
from bench.key_watch import KeyWatch
from bench.latency import intended_sec, open_loop_latencies
from bench.plans import PLANS, check_answers, publish_burst, series
from bench.predecessor import POLL_SEC
from bench.redis_socket import BlockingRedis

_FEW_SYMBOLS = 5
_GIVE_UP_SEC = 10.0
_LEAD_SEC = 0.05
#: Factor of the number of plans where the predecessor is not delayed by reads.
_FAST_PREDECESSOR = 100
#: Share of the burst of contenders with round trips of their own for each plan.
_SLOWER = 10
#: They send plain commands, about five a plan.
_WITH_PLAIN_COMMANDS = frozenset({PREDECESSOR, *DESKS})
_ROUND_TRIPS = ("xreadgroup", "evalsha", "eval")

_numbers = count()


def one_at_a_time(session: Session) -> list[Figure]:
    """Measure single plans, each published after the answer to the one before."""
    plans = session.stage.sizes.one_at_a_time
    if session.contender == PREDECESSOR:
        plans = session.stage.sizes.predecessor_plans
    return singles(session, "plan → permit, one at a time", plans)


def singles(session: Session, case: str, plans: int) -> list[Figure]:
    """Measure so many plans one at a time."""
    _clear_permits(session, session.stage.held)
    published = series(_name("one"), session.stage.held, plans)
    session.redis.command("CONFIG", "RESETSTAT")
    with permit_watch(session.stage, session.contender) as watch:
        latencies_sec = watch.latencies_sec(published)
    calls, _ = _round_trips(session.redis)
    _check(session, [plan_id for plan_id, _ in published])
    figures = latency_figures(case, latencies_sec)
    if session.contender not in _WITH_PLAIN_COMMANDS:
        figures.append(Figure(case, "reads and scripts a plan", "", calls / len(published)))
    return figures


def open_loops(session: Session) -> list[Figure]:
    """Measure plans at fixed rates, corrected for coordinated omission."""
    figures: list[Figure] = []
    for rate in session.stage.sizes.rates:
        figures += latency_figures(f"plan → permit, open loop, {rate} /s", open_loop(session, rate))
    return figures


def open_loop(session: Session, rate: int) -> list[float]:
    """Return the latencies (s) of plans at a fixed rate, corrected for coordinated omission."""
    _clear_permits(session, session.stage.held)
    sizes = session.stage.sizes
    plans = max(round(rate * sizes.open_loop_sec), sizes.open_loop_plans)
    published = series(_name("open"), session.stage.held, plans)
    with permit_watch(session.stage, session.contender) as watch:
        latencies_sec = paced(watch, published, rate)
    # A contender that fell behind has counted as late, and may catch up.
    wait_until_answered(session, PLANS)
    _check(session, [plan_id for plan_id, _ in published])
    return latencies_sec


def throughput_few(session: Session) -> list[Figure]:
    """Measure a burst over five symbols."""
    return burst(session, few(session), "throughput, five symbols", session.stage.sizes.burst)


def throughput_all(session: Session) -> list[Figure]:
    """Measure a burst over all symbols."""
    return burst(session, session.stage.held, "throughput, all symbols", session.stage.sizes.burst)


def few(session: Session) -> Sequence[Holding]:
    """Return five symbols."""
    return session.stage.held[:_FEW_SYMBOLS]


def paced(watch: KeyWatch, published: Sequence[tuple[str, bytes]], rate: float) -> list[float]:
    """Publish at a fixed rate; return the latencies (s), corrected for coordinated omission."""
    number_of = {plan_id: number for number, (plan_id, _) in enumerate(published)}
    answered_sec: dict[int, float] = {}
    begin_sec = time.perf_counter() + _LEAD_SEC
    give_up_sec = intended_sec(begin_sec, rate, len(published)) + _GIVE_UP_SEC
    sent = 0
    now_sec = time.perf_counter()
    while len(answered_sec) < len(published) and now_sec < give_up_sec:
        due = sent
        while due < len(published) and intended_sec(begin_sec, rate, due) <= now_sec:
            due += 1
        if due > sent:
            watch.send_packed(b"".join(command for _, command in published[sent:due]))
            sent = due
        next_sec = intended_sec(begin_sec, rate, sent) if sent < len(published) else give_up_sec
        names = watch.changed_within(next_sec - time.perf_counter())
        now_sec = time.perf_counter()
        for name in names:
            if name in number_of:
                answered_sec.setdefault(number_of[name], now_sec)
    return open_loop_latencies(begin_sec, rate, answered_sec, sent, now_sec)


def burst(session: Session, held: Sequence[Holding], case: str, plans: int) -> list[Figure]:
    """Measure plans published at once: so many, or fewer for who is slower."""
    if session.contender == PREDECESSOR:
        plans = _predecessor_burst(session)
    elif session.contender in DESKS:
        plans //= _SLOWER
    _clear_permits(session, held)
    redis, name = session.redis, _name("burst")
    redis.command("CONFIG", "RESETSTAT")
    process_before_sec = session.process.cpu_sec()
    publish_burst(redis, name, held, plans)
    server_before_sec, begun_sec = _server_cpu_sec(redis), time.perf_counter()
    wait_until_answered(session, PLANS)
    took_sec = time.perf_counter() - begun_sec
    calls, script_sec = _round_trips(redis)
    calls -= 1  # the burst itself
    process_sec = session.process.cpu_sec() - process_before_sec
    server_sec = _server_cpu_sec(redis) - server_before_sec
    _check(session, [f"{name}{number}" for number in range(plans)])
    figures = [
        Figure(case, "plans answered", "/s", plans / took_sec),
        Figure(case, "its CPU a plan", "µs", process_sec / plans * 1e6),
        Figure(case, "Redis's CPU a plan", "µs", server_sec / plans * 1e6),
    ]
    if session.contender not in _WITH_PLAIN_COMMANDS:
        figures.append(Figure(case, "reads and scripts a plan", "", calls / plans))
    if session.contender in {DAEMON, GOVERNED}:
        figures.append(Figure(case, "scripts' time a plan", "µs", script_sec / plans * 1e6))
    return figures


def _predecessor_burst(session: Session) -> int:
    """Measure as many plans as end within a minute: ten a cycle if reads take longer than a poll, or more."""
    sizes = session.stage.sizes
    slow = session.stage.exchange_latency_ms / 1000 * CANDIDATES >= POLL_SEC
    return sizes.predecessor_burst * (1 if slow else _FAST_PREDECESSOR)


def _clear_permits(session: Session, held: Sequence[Holding]) -> None:
    """Remove open permits, and let the daemon see it by one unmeasured plan a symbol."""
    if session.contender == PREDECESSOR:
        return
    redis = session.redis
    redis.pipeline([("DEL", f"quantum:p33:open:{holding.symbol}") for holding in held])
    publish_burst(redis, _name("clear"), held, len(held))
    wait_until_answered(session, PLANS)


def _check(session: Session, plan_ids: Sequence[str]) -> None:
    # The predecessor's answers are not checked, only its speed.
    if session.contender != PREDECESSOR:
        check_answers(session.redis, plan_ids)


def _name(case: str) -> str:
    return f"{case}-{next(_numbers)}-"


def _server_cpu_sec(redis: BlockingRedis) -> float:
    info = redis.info("cpu")
    return float(info["used_cpu_sys"]) + float(info["used_cpu_user"])


def _round_trips(redis: BlockingRedis) -> tuple[int, float]:
    """Return reads and scripts since the statistics were reset, and the scripts' seconds."""
    info = redis.info("commandstats")
    calls, script_sec = 0, 0.0
    for command in _ROUND_TRIPS:
        stat = info.get(f"cmdstat_{command}")
        if stat is not None:
            values = dict(part.split("=") for part in stat.split(","))
            calls += int(values["calls"])
            if command == "evalsha":
                script_sec = int(values["usec"]) / 1e6
    return calls, script_sec
