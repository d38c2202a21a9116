"""`python -m bench`: every case, one table, ratios in one run."""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
import trio
from rich.console import Console

from bench.cases import CASES
from bench.figures import CONTENDERS, PREDECESSOR, rows
from bench.markdown import markdown
from bench.processes import ChildFailedError
from bench.redis_socket import BlockingRedis
from bench.report import Circumstances, Report, as_json, print_report
from bench.rounds import Rounds
from bench.sizes import FULL, GROWN, GROWN_TO, QUICK, SYMBOLS
from bench.stopping import StoppedError, signals_restored, stoppable
from brain.error_groups import each_error
from commands.clients.embedded_redis import RedisServerFailedError, RedisServerNotFoundError, private_redis

_EXCHANGE_LATENCY_MS = 300.0
_WIDTH = 160
_FAILED = 1
_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure the chosen cases; return 0, or 1 when a case failed or nothing was measured.

    Returns 130 after Ctrl-C and 143 after SIGTERM. Both end a run with a report, like its time limit.
    """
    options = _parser().parse_args(arguments)
    if options.markdown:
        sys.stdout.write(markdown(options.markdown.read_bytes()))
        return 0
    console = Console(highlight=False, width=None if sys.stdout.isatty() else _WIDTH)
    try:
        with signals_restored():
            code = trio.run(_on_a_private_redis, options, console)
    except* (ChildFailedError, OSError, RedisServerNotFoundError, RedisServerFailedError) as group:
        for error in each_error(group):
            Console(stderr=True, highlight=False, soft_wrap=True).print(f"bench: {error}", markup=False)
        code = _FAILED
    except* KeyboardInterrupt:
        code = _INTERRUPTED
    return code


def _parser() -> argparse.ArgumentParser:
    cases = "\n".join(f"  {name}: {case.measures}.\n    {case.floor}." for name, case in CASES.items())
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measures the daemon beside its floors on one private redis-server, ratios in one run.",
        epilog=f"cases:\n{cases}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--quick", action="store_true", help=f"a short look: {SYMBOLS} symbols, no predecessor")
    add("--only", action="append", choices=CASES, metavar="CASE", help="may be repeated; see below")
    add("--contender", action="append", choices=CONTENDERS, metavar="WHO", help=", ".join(CONTENDERS))
    add(
        "--symbols", action="append", type=int, metavar="N",
        help=f"may be repeated; the first is compared, the others show growth (default: {SYMBOLS}, then "
        f"{', '.join(map(str, GROWN_TO))})",
    )  # fmt: skip
    add(
        "--rounds", type=int, default=1, metavar="N",
        help="medians of so many where contenders are compared (default: 1)",
    )  # fmt: skip
    add(
        "--growth-rounds", type=int, default=1, metavar="N",
        help="medians of so many at every other number of symbols (default: 1)",
    )  # fmt: skip
    add("--minutes", type=float, metavar="N", help="end then, and report what there is (default: no limit)")
    add(
        "--exchange-latency-ms", type=float, default=_EXCHANGE_LATENCY_MS, metavar="MS",
        help=f"of the exchange's REST answers (default: {_EXCHANGE_LATENCY_MS:g})",
    )  # fmt: skip
    add("--json", type=Path, metavar="FILE", help="the figures as JSON, too")
    add(
        "--markdown", type=Path, metavar="FILE",
        help="measure nothing: print the JSON of a run as tables in Markdown",
    )  # fmt: skip
    return parser


async def _on_a_private_redis(options: argparse.Namespace, console: Console) -> int:
    async with private_redis() as url:
        # Blocks the loop on purpose: nothing else runs on it during a measurement.
        return _measure(url, options, console)


def _measure(redis_url: str, options: argparse.Namespace, console: Console) -> int:
    """Measure, then print and write the report, also after an error; return the exit code."""
    begun_sec = time.monotonic()
    symbols: list[int] = options.symbols or [SYMBOLS, *(() if options.quick else GROWN_TO)]
    sizes = [QUICK] * len(symbols) if options.quick else [FULL] + [GROWN] * (len(symbols) - 1)
    names = [name for name in CASES if name in (options.only or CASES)]
    described = _circumstances(redis_url, options, symbols)
    ended_early, code = "something went wrong", 0
    with console.status("…") as status:
        all_rounds = [
            Rounds(count, size, names, status.update) for count, size in zip(symbols, sizes, strict=True)
        ]
        try:
            with stoppable(options.minutes):
                _run_rounds(all_rounds, redis_url, options)
            ended_early = ""
        except StoppedError as error:
            ended_early, code = str(error), error.code or 0
        finally:
            status.stop()
            took_min = (time.monotonic() - begun_sec) / 60
            described = msgspec.structs.replace(
                described, took_min=round(took_min, 1), ended_early=ended_early
            )
            table = [row for rounds in all_rounds for row in rows(rounds.symbols, rounds.figures)]
            failures = [failure for rounds in all_rounds for failure in rounds.failures]
            report = Report(described, table, failures, names)
            print_report(console, report)
            if options.json:
                options.json.write_bytes(as_json(report))
    return code or (_FAILED if any(rounds.failures for rounds in all_rounds) else 0)


def _run_rounds(all_rounds: Sequence[Rounds], redis_url: str, options: argparse.Namespace) -> None:
    """Run the rounds that compare contenders, then those that show growth."""
    wanted = options.contender or CONTENDERS
    # The predecessor has twenty symbols, at any size of the account.
    grown = [who for who in wanted if who != PREDECESSOR]
    first, *others = all_rounds
    for _ in range(options.rounds):
        first.measure(redis_url, options.exchange_latency_ms, wanted)
    for _ in range(options.growth_rounds):
        for rounds in others:
            rounds.measure(redis_url, options.exchange_latency_ms, grown)


def _circumstances(redis_url: str, options: argparse.Namespace, symbols: Sequence[int]) -> Circumstances:
    with BlockingRedis(redis_url) as redis:
        version = redis.info("server")["redis_version"]
    return Circumstances(
        redis=version,
        python=platform.python_version(),
        processors=os.cpu_count() or 1,
        load=round(os.getloadavg()[0], 2),
        rounds=options.rounds,
        growth_rounds=options.growth_rounds,
        quick=options.quick,
        exchange_latency_ms=options.exchange_latency_ms,
        symbols=symbols,
    )


if __name__ == "__main__":
    sys.exit(main())
