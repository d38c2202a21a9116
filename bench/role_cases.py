"""Cases of single roles: processor time a plan with each of them on, and a drift until it is repaired."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal

from bench.account import Holding
from bench.chain_cases import rows_of
from bench.contenders import RESULTS, Session, wait_until_answered
from bench.figures import CHAIN, COUNTING, EXECUTING, Figure, latency_figures
from bench.key_watch import KeyWatch
from bench.ledger_cases import LEDGER_PREFIX
from bench.plans import PLANS, WrongAnswersError, check_answers, fields
from bench.redis_socket import BlockingRedis, Command

#: An executor takes the permit away with its answer.
_WITH_EXECUTOR = frozenset({EXECUTING, COUNTING, CHAIN})
#: What is used while nothing happens is no cost of a plan.
_IDLE_SEC = 3.0
_COST = "a refused plan, all its readers"
_DRIFT = "drift → ledger repaired"


def cost_of_a_plan(session: Session) -> list[Figure]:
    """Measure processor time for plans that no order follows, until every reader is done with them.

    An executor makes a result of each, which ledger writer and decision intelligence read in turn.
    """
    held, plans = session.stage.held, session.stage.sizes.role_plans
    _published(session, "cost-warm-", held, len(held))
    before_sec = session.process.cpu_sec()
    time.sleep(_IDLE_SEC)
    idle_share = (session.process.cpu_sec() - before_sec) / _IDLE_SEC
    before_sec, begun_sec = session.process.cpu_sec(), time.perf_counter()
    _published(session, "cost-", held, plans)
    took_sec = time.perf_counter() - begun_sec
    cpu_sec = session.process.cpu_sec() - before_sec - idle_share * took_sec
    _check(session, plans)
    return [
        Figure(_COST, "CPU", "µs", cpu_sec / plans * 1e6),
        Figure(_COST, "plans", "/s", plans / took_sec),
    ]


def drift_to_repaired(session: Session) -> list[Figure]:
    """Measure deleveragings by the exchange, from the trade to the ledger that contains it."""
    held = [holding for holding in session.stage.held if holding.amount > 0]
    latencies_sec: list[float] = []
    with KeyWatch(session.stage.redis_url, LEDGER_PREFIX) as watch:
        for holding in held[: session.stage.sizes.drifts]:
            amount = holding.amount - holding.step
            begun_sec = time.perf_counter()
            session.stage.exchange.move_to(holding.symbol, amount, cause="adl")
            while not _booked(session.redis, holding, amount):
                # The renewal of a ledger changes its key, too.
                watch.wait_for(holding.symbol)
            latencies_sec.append(time.perf_counter() - begun_sec)
    return latency_figures(_DRIFT, latencies_sec)


def _check(session: Session, plans: int) -> None:
    """Raise WrongAnswersError unless each plan was refused: by its permit, or by the result that took it."""
    if session.contender not in _WITH_EXECUTOR:
        check_answers(session.redis, [f"cost-{number}" for number in range(plans)])
        return
    errors = Counter(
        row["error"] for _, row in rows_of(session, RESULTS) if row["plan_id"].startswith("cost-")
    )
    refused = sum(count for error, count in errors.items() if error.startswith("permit_denied"))
    warm_up = len(session.stage.held)
    if refused != plans + warm_up:
        raise WrongAnswersError(f"of {plans} plans and {warm_up} before them: {dict(errors)}")


def _booked(redis: BlockingRedis, holding: Holding, amount: Decimal) -> bool:
    stored = redis.command("HGET", LEDGER_PREFIX + holding.symbol, "ledger_amt")
    return stored is not None and Decimal(stored.decode()) == amount


def _published(session: Session, name: str, held: Sequence[Holding], count: int) -> None:
    """Publish closes of less than a step of open positions, and wait for all of their readers."""
    closed = [holding for holding in held if holding.amount]
    now_sec = time.time()
    commands: list[Command] = [
        (
            "XADD", PLANS, "*", "plan_id", f"{name}{number}",
            *fields(closed[number % len(closed)], allowed=False, now_sec=now_sec),
        )
        for number in range(count)
    ]  # fmt: skip
    session.redis.pipeline(commands)
    for stream in (PLANS, RESULTS):
        wait_until_answered(session, stream)
