"""`python -m bench`: every case, one table, ratios in one run."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import trio
from rich.console import Console

from bench.cases import CASES
from bench.figures import CONTENDERS, PREDECESSOR, Failure, rows
from bench.processes import ChildFailedError
from bench.redis_socket import BlockingRedis
from bench.report import Report, as_json, circumstances, print_report
from bench.sitting import Sitting
from bench.sizes import FULL, GROWN, GROWN_TO, QUICK, SYMBOLS
from commands.private_redis import RedisServerFailedError, RedisServerNotFoundError, private_redis

_EXCHANGE_LATENCY_MS = 300.0
_WIDTH = 132
_FAILED = 1
_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what is asked for; 0; 1 when a case failed or nothing could be measured, 130 after Ctrl-C."""
    options = _parser().parse_args(arguments)
    console = Console(highlight=False, width=None if sys.stdout.isatty() else _WIDTH)
    try:
        failed = trio.run(_on_a_private_redis, options, console)
    except* (ChildFailedError, OSError, RedisServerNotFoundError, RedisServerFailedError) as group:
        for error in group.exceptions:
            Console(stderr=True, highlight=False, soft_wrap=True).print(f"bench: {error}", markup=False)
        code = _FAILED
    except* KeyboardInterrupt:
        code = _INTERRUPTED
    else:
        code = _FAILED if failed else 0
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
    add("--rounds", type=int, default=1, metavar="N", help="medians of so many (default: 1)")
    add(
        "--exchange-latency-ms", type=float, default=_EXCHANGE_LATENCY_MS, metavar="MS",
        help=f"of the exchange's REST answers (default: {_EXCHANGE_LATENCY_MS:g})",
    )  # fmt: skip
    add("--json", type=Path, metavar="FILE", help="the figures as JSON, too")
    return parser


async def _on_a_private_redis(options: argparse.Namespace, console: Console) -> bool:
    async with private_redis() as url:
        # Blocks the loop on purpose: nothing else is to run on it while something is measured.
        return _measure(url, options, console)


def _measure(redis_url: str, options: argparse.Namespace, console: Console) -> bool:
    """Measure, print and write; whether something failed."""
    symbols: list[int] = options.symbols or [SYMBOLS, *(() if options.quick else GROWN_TO)]
    sizes = [QUICK] * len(symbols) if options.quick else [FULL] + [GROWN] * (len(symbols) - 1)
    names = [name for name in CASES if name in (options.only or CASES)]
    wanted = options.contender or CONTENDERS
    with BlockingRedis(redis_url) as redis:
        told = circumstances(
            _version(redis),
            rounds=options.rounds,
            quick=options.quick,
            exchange_latency_ms=options.exchange_latency_ms,
            symbols=symbols,
        )
    with console.status("…") as status:
        sittings = [
            Sitting(count, size, names, status.update) for count, size in zip(symbols, sizes, strict=True)
        ]
        for _ in range(options.rounds):
            for sitting in sittings:
                # The predecessor keeps twenty symbols, whatever the account lists.
                grown = [who for who in wanted if who != PREDECESSOR]
                sitting.measure(
                    redis_url, options.exchange_latency_ms, wanted if sitting is sittings[0] else grown
                )
    table = [
        row for count, sitting in zip(symbols, sittings, strict=True) for row in rows(count, sitting.figures)
    ]
    failures: list[Failure] = [failure for sitting in sittings for failure in sitting.failures]
    report = Report(told, table, failures, names)
    print_report(console, report)
    if options.json:
        options.json.write_bytes(as_json(report))
    return bool(failures)


def _version(redis: BlockingRedis) -> str:
    text = redis.command("INFO", "server")
    lines = (text if isinstance(text, str) else text.decode()).splitlines()
    return next(line.partition(":")[2] for line in lines if line.startswith("redis_version:"))


if __name__ == "__main__":
    sys.exit(main())
