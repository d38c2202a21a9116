"""`python -m bench`: every case, one table, ratios in one run."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import trio
from rich.console import Console

from bench.account import Exchange, holdings
from bench.cases import CASES
from bench.contenders import Stage, exchange_process, session
from bench.figures import CONTENDERS, PREDECESSOR, Figure, rows
from bench.plans import WrongAnswersError
from bench.processes import ChildFailedError
from bench.redis_socket import BlockingRedis
from bench.report import as_json, circumstances, print_table
from bench.sizes import FULL, QUICK
from commands.private_redis import RedisServerFailedError, RedisServerNotFoundError, private_redis

_EXCHANGE_LATENCY_MS = 300.0
_WIDTH = 110
_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what is asked for; 0; 1 when a contender failed or answered wrongly, 130 after Ctrl-C."""
    options = _parser().parse_args(arguments)
    console = Console(highlight=False, width=None if sys.stdout.isatty() else _WIDTH)
    try:
        trio.run(_on_a_private_redis, options, console)
    except* (ChildFailedError, WrongAnswersError, RedisServerNotFoundError, RedisServerFailedError) as group:
        for error in group.exceptions:
            Console(stderr=True, highlight=False, soft_wrap=True).print(f"bench: {error}", markup=False)
        code = 1
    except* KeyboardInterrupt:
        code = _INTERRUPTED
    else:
        code = 0
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a short look, without the predecessor")
    parser.add_argument("--only", action="append", choices=CASES, metavar="CASE", help=", ".join(CASES))
    parser.add_argument("--rounds", type=int, default=1, metavar="N", help="medians of so many (default: 1)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="the figures as JSON, too")
    return parser


async def _on_a_private_redis(options: argparse.Namespace, console: Console) -> None:
    async with private_redis() as url:
        # Blocks the loop on purpose: nothing else is to run on it while something is measured.
        _measure(url, options, console)


def _measure(redis_url: str, options: argparse.Namespace, console: Console) -> None:
    sizes = QUICK if options.quick else FULL
    held = holdings()
    with (
        tempfile.TemporaryDirectory(prefix="position-state-brain-bench-") as name,
        exchange_process(Path(name), _EXCHANGE_LATENCY_MS) as addresses,
        BlockingRedis(redis_url) as redis,
    ):
        told = circumstances(
            _version(redis),
            rounds=options.rounds,
            quick=options.quick,
            exchange_latency_ms=_EXCHANGE_LATENCY_MS,
        )
        exchange = Exchange(addresses.rest_url)
        for holding in held:
            exchange.move_to(holding.symbol, holding.amount)
        stage = Stage(Path(name), redis_url, exchange, addresses, held, sizes)
        figures: list[tuple[str, Figure]] = []
        for _ in range(options.rounds):
            for contender in CONTENDERS:
                if contender != PREDECESSOR or not options.quick:
                    figures += _session(stage, contender, options.only or list(CASES), console)
    table = rows(figures)
    print_table(console, told, table)
    if options.json:
        options.json.write_bytes(as_json(told, table))


def _session(
    stage: Stage, contender: str, names: Sequence[str], console: Console
) -> list[tuple[str, Figure]]:
    figures: list[tuple[str, Figure]] = []
    with session(stage, contender) as running:
        for name, case in CASES.items():
            if name in names:
                with console.status(f"{contender}: {name}"):
                    figures += [(contender, figure) for figure in case(running)]
    return figures


def _version(redis: BlockingRedis) -> str:
    text = redis.command("INFO", "server")
    lines = (text if isinstance(text, str) else text.decode()).splitlines()
    return next(line.partition(":")[2] for line in lines if line.startswith("redis_version:"))


if __name__ == "__main__":
    sys.exit(main())
