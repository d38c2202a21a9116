"""`python -m tests.soak`: load and faults for as long as asked for, then a table. Exit code 1: it broke."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import cycle

import trio
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from brain.error_groups import each_error
from brain.plans.permit import Reason
from simulator import SimulatedExchange, running
from simulator.stream_server import CONNECTIONS_WINDOW_SEC
from tests.integration.pipeline import PLANS, RESULTS
from tests.integration.surroundings import is_ready
from tests.integration.under_fire import Fire, restarts, under_fire
from tests.soak.chain import FAULT_EVERY_SEC, soak_chain
from tests.soak.chain_report import ChainReport
from tests.soak.faults import FAULTS
from tests.soak.gauges import course_of, oldest_snapshot_sec, open_descriptors, resident_mb
from tests.soak.report import SoakReport

_WIDTH = 110
_INTERRUPTED = 130
_SAMPLE_SEC = 0.5
_BETWEEN_FAULTS_SEC = 15.0
#: So long after a recovery, ages are again what they are while nothing is wrong.
_CALM_AFTER_SEC = 3.0
_PATIENCE_SEC = 120.0
_REST_LATENCY_MS = 100.0
#: The daemon remembers the fills of so many orders: from then on it has no reason to grow.
_FILLS_REMEMBERED = 10_000
_LONGEST_TEXT = 400
_LATEST = 100
_STALE = {Reason.STALE_EXCHANGE_STATE, Reason.NO_EXCHANGE_SNAPSHOT}


class Soak:
    """One run: the injected faults, and the measurements."""

    def __init__(self, fire: Fire, lasts_sec: float, drop_every_sec: float | None) -> None:
        """With `drop_every_sec` the private stream breaks at that interval, in place of all other faults."""
        self._fire = fire
        self._lasts_sec = lasts_sec
        self._drop_every_sec = drop_every_sec
        self._began_sec = trio.current_time()
        self._symbols = list(fire.simulator.exchange.listing.symbols)
        self._calm_from_sec = trio.current_time() + _CALM_AFTER_SEC
        self.memory_mb: list[float] = []
        self.descriptors: list[float] = []
        self.most_connections = 0
        self.oldest_sec = 0.0
        self.slowest_recovery_sec = 0.0
        self.faults = 0

    async def run(self, shown: Callable[[float, str], None]) -> None:
        """Until the time is over."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._strike if self._drop_every_sec is None else self._drop)
            began_sec = trio.current_time()
            while (elapsed_sec := trio.current_time() - began_sec) < self._lasts_sec:
                await self._sample()
                decided, memory_mb = len(self._fire.load.decided), self.memory_mb[-1]
                shown(elapsed_sec, f"{decided} decisions  {self.faults} faults  {memory_mb:.1f} MB")
                await trio.sleep(_SAMPLE_SEC)
            nursery.cancel_scope.cancel()

    async def _sample(self) -> None:
        fire = self._fire
        self.memory_mb.append(resident_mb(fire.daemon.process.pid))
        self.descriptors.append(open_descriptors(fire.daemon.process.pid))
        since_sec = max(trio.current_time() - CONNECTIONS_WINDOW_SEC, self._began_sec)
        opened = fire.simulator.streams.connections_opened(None, since_sec)
        self.most_connections = max(self.most_connections, opened)
        if trio.current_time() >= self._calm_from_sec:
            oldest_sec = await trio.to_thread.run_sync(oldest_snapshot_sec, fire.pipeline, self._symbols)
            if trio.current_time() >= self._calm_from_sec:
                self.oldest_sec = max(self.oldest_sec, oldest_sec)

    async def _strike(self) -> None:
        for strike in cycle(FAULTS):
            await trio.sleep(_BETWEEN_FAULTS_SEC)
            self._calm_from_sec = float("inf")
            # What was begun is ended: the last of them, too, has to be recovered from.
            with trio.CancelScope(shield=True):
                await strike(self._fire)
                await self._recovered()
            self.faults += 1
            self._calm_from_sec = trio.current_time() + _CALM_AFTER_SEC

    async def _drop(self) -> None:
        assert self._drop_every_sec is not None
        streams = self._fire.simulator.streams
        while True:
            await trio.sleep(self._drop_every_sec)
            if streams.connection_count("private"):
                self.faults += 1
            await streams.reset("private")

    async def _recovered(self) -> None:
        began_sec = trio.current_time()
        await is_ready(lambda: self._fire.url, _PATIENCE_SEC)
        await self._fire.load.more_is_allowed(1, _PATIENCE_SEC)
        self.slowest_recovery_sec = max(self.slowest_recovery_sec, trio.current_time() - began_sec)


def main(arguments: Sequence[str] | None = None) -> int:
    """0; 1 when something is broken, 130 after Ctrl-C."""
    options = _parser().parse_args(arguments)
    console = Console(highlight=False, width=None if sys.stdout.isatty() else _WIDTH)
    try:
        report = trio.run(_RUNS[options.of], options, console)
    except* KeyboardInterrupt:
        code = _INTERRUPTED
    except* AssertionError as group:
        for broken in each_error(group):
            console.print(f"BROKEN: {str(broken)[:_LONGEST_TEXT]}", markup=False)
        code = 1
    else:
        report.print_to(console)
        code = 1 if report.wrong() else 0
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument(
        "--of",
        choices=_RUNS,
        default="chain",
        help="intents with every role on, or plans and results of others (default: chain)",
    )
    parser.add_argument("--minutes", type=float, default=10.0, metavar="N", help="default: 10")
    parser.add_argument(
        "--plans", type=int, default=60, metavar="N", help="a second (--of plans; default: 60)"
    )
    parser.add_argument(
        "--results", type=int, default=30, metavar="N", help="a second (--of plans; default: 30)"
    )
    parser.add_argument(
        "--drop-every",
        type=float,
        metavar="SEC",
        help="break the private stream every SEC seconds, in place of all other faults (--of plans)",
    )
    parser.add_argument(
        "--fault-every",
        type=float,
        default=FAULT_EVERY_SEC,
        metavar="SEC",
        help=f"--of chain; default: {FAULT_EVERY_SEC:g}",
    )
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="of load and faults (default: 1)")
    return parser


@contextmanager
def _shown(console: Console, lasts_sec: float) -> Iterator[Callable[[float, str], None]]:
    """Yield what shows the progress of a run: the seconds so far, and what was done."""
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    ) as progress:
        task = progress.add_task("", total=lasts_sec)
        yield lambda elapsed_sec, done: progress.update(task, completed=elapsed_sec, description=done)


async def _soak_chain(options: argparse.Namespace, console: Console) -> ChainReport:
    lasts_sec = options.minutes * 60
    with _shown(console, lasts_sec) as shown:
        return await soak_chain(options.seed, lasts_sec, shown, options.fault_every)


async def _soak_plans(options: argparse.Namespace, console: Console) -> SoakReport:
    lasts_sec = options.minutes * 60
    console.print(f"First {_FILLS_REMEMBERED} orders, until the daemon's memory of fills is full …")
    async with (
        running(SimulatedExchange(), latency_ms=_REST_LATENCY_MS) as simulator,
        under_fire(
            simulator,
            options.seed,
            plans_per_sec=options.plans,
            results_per_sec=options.results,
            orders_ahead=_FILLS_REMEMBERED,
        ) as fire,
    ):
        soak = Soak(fire, lasts_sec, options.drop_every)
        with _shown(console, lasts_sec) as shown:
            try:
                await soak.run(shown)
            except* AssertionError:
                _print_diagnosis(fire, console)
                raise
        load = fire.load
        return SoakReport(
            broken=tuple([shown async for shown in _broken(fire)]),
            lasted_sec=lasts_sec,
            plans=len(load.published),
            results=len(load.reports),
            decisions=len(load.decided),
            allowed=sum(decided.allow for decided in load.decided),
            faults=soak.faults,
            restarts=round(sum((await restarts(fire.url)).values())),
            mismatches=len(load.mismatches()),
            oldest_snapshot_sec=soak.oldest_sec,
            slowest_recovery_sec=soak.slowest_recovery_sec,
            memory=course_of(soak.memory_mb),
            descriptors=course_of(soak.descriptors),
            stale=sum(decided.reason in _STALE for decided in load.decided),
            most_connections=soak.most_connections,
            drops_alone=options.drop_every is not None,
        )


def _print_diagnosis(fire: Fire, console: Console) -> None:
    """Print the state for the analysis of a failure."""
    unread = {stream: fire.pipeline.unread(stream) for stream in (PLANS, RESULTS)}
    reasons = Counter(decided.reason for decided in fire.load.decided[-_LATEST:])
    console.print(f"unread: {unread}; latest decisions: {dict(reasons)}", markup=False)
    console.print(*fire.daemon.output.splitlines()[-_LATEST // 4 :], sep="\n", markup=False)


async def _broken(fire: Fire) -> AsyncIterator[str]:
    """Let all that is under way end; yield the invariants that do not hold then."""

    async def decided_once() -> None:
        fire.load.assert_decided_once()

    async def ledgers_follow_positions() -> None:
        fire.load.assert_ledgers_follow_positions()

    for check in (fire.load.drained, fire.nothing_was_harmed, decided_once, ledgers_follow_positions):
        try:
            await check()
        except AssertionError as broken:
            yield f"{check.__name__}: {str(broken)[:_LONGEST_TEXT]}"


_RUNS: Mapping[str, Callable[[argparse.Namespace, Console], Awaitable[ChainReport | SoakReport]]] = {
    "chain": _soak_chain,
    "plans": _soak_plans,
}

if __name__ == "__main__":
    sys.exit(main())
