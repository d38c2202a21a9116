"""The command line: `position-state-brain COMMAND`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from settings import SettingsError

#: EX_CONFIG of sysexits.h: restarting will not help, and systemd is told not to.
EXIT_CONFIG = 78
EXIT_FAILURE = 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; its exit code. Bad settings are one line on standard error and code 78."""
    options = parser().parse_args(arguments)
    try:
        return int(options.command(options))
    except SettingsError as error:
        print(f"position-state-brain: {error}", file=sys.stderr)
        return EXIT_CONFIG


def parser() -> argparse.ArgumentParser:
    """What the command line accepts."""
    top = argparse.ArgumentParser(
        prog="position-state-brain",
        description="Issues permits for trading plans: allow with a safe quantity, or deny with a reason.",
    )
    commands = top.add_subparsers(title="commands", required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="the daemon; settings come from the environment")
    run.set_defaults(command=_run)

    demo = commands.add_parser("demo", help="everything on this machine: exchange, Redis, daemon, pipeline")
    demo.add_argument("--seconds", type=float, metavar="N", help="end by itself (default: until Ctrl-C)")
    demo.add_argument(
        "--export", type=Path, metavar="FILE", help="write the decisions to a new file, for replay"
    )
    demo.set_defaults(command=_demo)

    explain = commands.add_parser(
        "explain",
        help="why a plan was allowed or denied, or has no answer yet",
        description=_EXPLAIN,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    explain.add_argument("plan_id", metavar="PLAN_ID", help="or its beginning, as the log lines show it")
    explain.add_argument("--json", action="store_true", help="everything, for programs")
    explain.set_defaults(command=_explain)

    replay = commands.add_parser(
        "replay",
        help="recorded decisions again: the same, or with other settings",
        description=_REPLAY,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = replay.add_mutually_exclusive_group()
    what.add_argument("--last", type=_count, metavar="N", help="only the newest N records")
    what.add_argument("--since", type=_seconds, metavar="SECONDS", help="only those of the last SECONDS")
    what.add_argument("--file", type=Path, help="an exported file instead of Redis")
    replay.add_argument(
        "--set", action="extend", nargs="+", default=[], metavar="NAME=VALUE", help="a setting to try out"
    )
    replay.add_argument("--export", type=Path, metavar="FILE", help="also write the records to a new file")
    replay.set_defaults(command=_replay)

    simulate = commands.add_parser("simulate-exchange", help="the Binance stand-in alone, on loopback")
    simulate.add_argument("--rest-port", type=int, default=0, metavar="PORT", help="0: any free port")
    simulate.add_argument("--stream-port", type=int, default=0, metavar="PORT", help="0: any free port")
    simulate.add_argument("--latency-ms", type=float, default=0.0, help="of REST answers")
    simulate.set_defaults(command=_simulate_exchange)
    return top


_EXPLAIN = """\
Tells what became of a plan: the answer and its reason in words, every check in order with the numbers it
compared, what was known of position, ledger, hold and open permits at that moment, and whether the permit is
still there. Reads Redis as REDIS_* and P33_KEY_PREFIX say, and changes nothing there.

  position-state-brain explain 7f3a90c1
  position-state-brain explain 7f3a90c1 --json | jq .checks

Exit code 1: there is no trace of such a plan."""

_REPLAY = """\
Runs the decisions in the audit stream through the decision function again. Without --set every one must come
out the same to the last digit. With --set, tells which answers other settings would have changed:

  position-state-brain replay
  position-state-brain replay --since 3600 --set P33_STALE_THRESHOLD_SEC=5 P33_COOLDOWN_SEC=30
  position-state-brain replay --last 10000 --export decisions.jsonl
  position-state-brain replay --file decisions.jsonl

Exit code 1: a decision differs though no setting was changed, a record cannot be read, or there are none."""


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"a whole number from 1 up is expected, not {text!r}")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"seconds above zero are expected, not {text!r}")
    return seconds


# Imported when they run: `demo` must not pay for the daemon, nor the daemon for the demo.


def _run(_: argparse.Namespace) -> int:
    from commands.run import run

    return run(os.environ)


def _demo(options: argparse.Namespace) -> int:
    from commands import demo

    return demo.main(options.seconds, options.export)


def _explain(options: argparse.Namespace) -> int:
    from commands.explain import explain

    return explain(os.environ, options.plan_id, as_json=options.json)


def _replay(options: argparse.Namespace) -> int:
    from commands.replay import ReplayOptions, replay

    return replay(
        os.environ,
        ReplayOptions(options.set, options.last, options.since, options.file, options.export),
    )


def _simulate_exchange(options: argparse.Namespace) -> int:
    from commands.simulate_exchange import simulate_exchange

    return simulate_exchange(options.rest_port, options.stream_port, options.latency_ms)
