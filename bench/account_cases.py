"""Case of many accounts on one machine: a daemon for each, all on one Redis, at rest and in trade."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import count
from typing import NamedTuple

from bench.account import Exchange, ledger_commands
from bench.contenders import Session, exchange_process, is_ready, settings_of, wait_until_answered
from bench.figures import Figure
from bench.key_watch import KeyWatch
from bench.latency import percentile
from bench.plan_cases import paced
from bench.plans import check_answers, publish_burst, series
from bench.processes import Child, child
from commands.demo.children import free_port

_ALONE, _TOGETHER = "an account alone", "ten accounts on one Redis"
_IDLE, _TRADING, _AT_ONCE = "idle", "20 plans/s each", "a plan each at one moment"
_RATE = 20.0
#: Seconds, after its start, until a daemon does only what it does at rest.
_SETTLED_SEC = 10.0
#: Seconds: three times the interval of reads of all positions, so that each run has the same number.
_IDLE_SEC = 24.0
#: Seconds between two rounds of plans that are published at one moment.
_ROUND_SEC = 0.05
_GIVE_UP_SEC = 10.0

_numbers = count()


class Account(NamedTuple):
    """Account with keys, daemon and exchange of its own."""

    key_prefix: str
    process: Child
    exchange: Exchange

    @property
    def plans(self) -> str:
        """Stream of its plans."""
        return f"{self.key_prefix}:stream:apply.plan"

    @property
    def permits(self) -> str:
        """Begin of the keys of its permits."""
        return f"{self.key_prefix}:permit:p33:"


class _Reading(NamedTuple):
    """Counters at one moment, by `time.perf_counter` and by the wall clock."""

    at_sec: float
    wall_sec: float
    cpu_sec: tuple[float, ...]
    redis_cpu_sec: float
    redis_commands: int


def many_accounts(session: Session) -> list[Figure]:
    """Measure the daemon alone, then as one of many, then its latencies alone again."""
    sizes = session.stage.sizes
    if not sizes.accounts:
        return []
    own = [Account("quantum", session.process, session.stage.exchange)]
    time.sleep(min(_SETTLED_SEC, sizes.idle_sec))
    figures = _at_rest(session, own, _ALONE, min(_IDLE_SEC, sizes.idle_sec))
    used, [alone_sec] = _in_trade(session, own, _ALONE, sizes.trade_sec)
    figures += used
    with ExitStack() as running:
        begun_sec = time.perf_counter()
        others = [running.enter_context(_account(session, number)) for number in range(2, sizes.accounts + 1)]
        took_sec = (time.perf_counter() - begun_sec) / max(len(others), 1)
        accounts = own + others
        started = max(each.exchange.weight_since(0) for each in others) if others else 0
        time.sleep(min(_SETTLED_SEC, sizes.idle_sec))
        figures += [
            Figure(_TOGETHER, "start of one beside the others", "s", took_sec),
            Figure(_TOGETHER, "request weight of a start, largest", "", started),
            *_at_rest(session, accounts, _TOGETHER, min(_IDLE_SEC, sizes.idle_sec)),
        ]
        # As many plans of each as of the daemon alone in both of its times.
        used, latencies_sec = _in_trade(session, accounts, _TOGETHER, 2 * sizes.trade_sec)
        figures += [*used, *_at_one_moment(session, accounts)]
    alone_sec += _in_trade(session, own, _ALONE, sizes.trade_sec)[1][0]
    return figures + latencies(alone_sec, latencies_sec)


def latencies(alone_sec: Sequence[float], of_each_sec: Sequence[Sequence[float]]) -> list[Figure]:
    """Return the figures of plans in trade: of the account alone, and of the slowest account of many."""
    case, beside = f"{_ALONE}, {_TRADING}", f"{_TOGETHER}, {_TRADING}"
    alone_p50, alone_p99 = _p50_and_p99(alone_sec)
    p50s, p99s = zip(*map(_p50_and_p99, of_each_sec), strict=True)
    return [
        Figure(case, "plan → permit, p50", "ms", alone_p50 * 1000),
        Figure(case, "plan → permit, p99", "ms", alone_p99 * 1000),
        Figure(beside, "plan → permit, p50 of the slowest", "ms", max(p50s) * 1000),
        Figure(beside, "plan → permit, p99 of the slowest", "ms", max(p99s) * 1000),
        Figure(beside, "p99 of the slowest, as a multiple of alone", "×", max(p99s) / alone_p99),
    ]


def _p50_and_p99(latencies_sec: Sequence[float]) -> tuple[float, float]:
    ordered = sorted(latencies_sec)
    return percentile(ordered, 0.5), percentile(ordered, 0.99)


@contextmanager
def _account(session: Session, number: int) -> Iterator[Account]:
    """Start an account's exchange and daemon. Raises ChildFailedError."""
    stage, name, port = session.stage, f"account-{number}", free_port()
    session.redis.pipeline(ledger_commands(stage.held, name))
    latency_ms, symbols = stage.exchange_latency_ms, len(stage.held)
    with exchange_process(stage.folder, latency_ms, symbols, f"exchange-{number}", aside=True) as addresses:
        settings = settings_of(stage, port) | {
            "P33_KEY_PREFIX": name,
            "P33_INSTANCE": name,
            "BINANCE_REST_URL": addresses.rest_url,
            "BINANCE_WS_URL": addresses.ws_url,
        }
        with child(name, stage.folder, "commands", "run", settings=settings) as process:
            process.wait_until(lambda: is_ready(f"127.0.0.1:{port}"), "is not ready")
            yield Account(name, process, Exchange(addresses.rest_url))


def _at_rest(session: Session, accounts: Sequence[Account], who: str, seconds: float) -> list[Figure]:
    """Measure a time without plans."""
    before = _read(session, accounts)
    time.sleep(seconds)
    return _used(f"{who}, {_IDLE}", session, accounts, before)


def _in_trade(
    session: Session, accounts: Sequence[Account], who: str, seconds: float
) -> tuple[list[Figure], list[list[float]]]:
    """Measure seconds in trade, less than a permit lives; return figures, and latencies (s) by account.

    The plans of all accounts are spread evenly over time.
    """
    stage = session.stage
    _clear(session, accounts)
    name, each = f"trade-{next(_numbers)}-", round(_RATE * seconds)
    of_account = [series(f"{name}{a.key_prefix}-", stage.held, each, a.plans) for a in accounts]
    published = [plan for together in zip(*of_account, strict=True) for plan in together]
    first, *others = (account.permits for account in accounts)
    before = _read(session, accounts)
    with KeyWatch(stage.redis_url, first, others=others) as watch:
        latencies_sec = paced(watch, published, _RATE * len(accounts))
    figures = _used(f"{who}, {_TRADING}", session, accounts, before)
    for account, plans in zip(accounts, of_account, strict=True):
        wait_until_answered(session, account.plans)
        check_answers(session.redis, [plan_id for plan_id, _ in plans], account.permits)
    return figures, [latencies_sec[place :: len(accounts)] for place in range(len(accounts))]


def _at_one_moment(session: Session, accounts: Sequence[Account]) -> list[Figure]:
    """Measure a plan for each account, all at one moment, until the last has its permit."""
    stage = session.stage
    _clear(session, accounts)
    rounds = stage.sizes.account_rounds
    of_account = [series(f"at-once-{a.key_prefix}-", stage.held, rounds, a.plans) for a in accounts]
    first, *others = (account.permits for account in accounts)
    latencies_sec: list[float] = []
    with KeyWatch(stage.redis_url, first, others=others) as watch:
        for plans in zip(*of_account, strict=True):
            begun_sec = time.perf_counter()
            watch.send_packed(b"".join(command for _, command in plans))
            _wait_for_all(watch, {plan_id for plan_id, _ in plans})
            latencies_sec.append(time.perf_counter() - begun_sec)
            time.sleep(_ROUND_SEC)
    ordered = sorted(latencies_sec)
    case = f"{_TOGETHER}, {_AT_ONCE}"
    return [
        Figure(case, "until the last permit, p50", "ms", percentile(ordered, 0.5) * 1000),
        Figure(case, "until the last permit, slowest", "ms", ordered[-1] * 1000),
    ]


def _wait_for_all(watch: KeyWatch, names: set[str]) -> None:
    """Wait until all of `names` have changed. Raises TimeoutError."""
    give_up_sec = time.perf_counter() + _GIVE_UP_SEC
    while names:
        if time.perf_counter() > give_up_sec:
            raise TimeoutError(f"no permits of {sorted(names)}")
        names -= set(watch.changed_within(_GIVE_UP_SEC))


def _clear(session: Session, accounts: Sequence[Account]) -> None:
    """Remove open permits, and let the daemons see it by one unmeasured plan a symbol."""
    redis, held = session.redis, session.stage.held
    for account in accounts:
        redis.pipeline([("DEL", f"{account.key_prefix}:p33:open:{each.symbol}") for each in held])
        publish_burst(redis, f"clear-{next(_numbers)}-", held, len(held), account.plans)
    for account in accounts:
        wait_until_answered(session, account.plans)


def _read(session: Session, accounts: Sequence[Account]) -> _Reading:
    cpu, stats = session.redis.info("cpu"), session.redis.info("stats")
    return _Reading(
        time.perf_counter(),
        time.time(),
        tuple(account.process.cpu_sec() for account in accounts),
        float(cpu["used_cpu_user"]) + float(cpu["used_cpu_sys"]),
        int(stats["total_commands_processed"]),
    )


def _used(case: str, session: Session, accounts: Sequence[Account], before: _Reading) -> list[Figure]:
    """Return what accounts and Redis have used since `before`, and the memory that they have."""
    now = _read(session, accounts)
    took_sec = now.at_sec - before.at_sec
    each = [(last - first) / took_sec * 100 for first, last in zip(before.cpu_sec, now.cpu_sec, strict=True)]
    redis_cpu_sec = now.redis_cpu_sec - before.redis_cpu_sec
    weight = max(account.exchange.weight_since(before.wall_sec) for account in accounts)
    return [
        Figure(case, "CPU in sum", "% of a core", sum(each)),
        Figure(case, "CPU of the busiest", "% of a core", max(each)),
        Figure(case, "PSS of the largest", "MB", max(a.process.proportional_mb() for a in accounts)),
        Figure(case, "RSS of the largest", "MB", max(a.process.resident_mb() for a in accounts)),
        Figure(case, "request weight, largest", "/min", weight / took_sec * 60),
        Figure(case, "CPU of Redis", "% of a core", redis_cpu_sec / took_sec * 100),
        Figure(case, "commands of Redis", "/s", (now.redis_commands - before.redis_commands) / took_sec),
        Figure(case, "memory of Redis", "MB", int(session.redis.info("memory")["used_memory"]) / 1e6),
    ]
