"""The command line: `position-state-brain COMMAND`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

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
    demo.set_defaults(command=_demo)

    simulate = commands.add_parser("simulate-exchange", help="the Binance stand-in alone, on loopback")
    simulate.add_argument("--rest-port", type=int, default=0, metavar="PORT", help="0: any free port")
    simulate.add_argument("--stream-port", type=int, default=0, metavar="PORT", help="0: any free port")
    simulate.add_argument("--latency-ms", type=float, default=0.0, help="of REST answers")
    simulate.set_defaults(command=_simulate_exchange)
    return top


# Imported when they run: `demo` must not pay for the daemon, nor the daemon for the demo.


def _run(_: argparse.Namespace) -> int:
    from commands.run import run

    return run(os.environ)


def _demo(options: argparse.Namespace) -> int:
    from commands import demo

    return demo.main(options.seconds)


def _simulate_exchange(options: argparse.Namespace) -> int:
    from commands.simulate_exchange import simulate_exchange

    return simulate_exchange(options.rest_port, options.stream_port, options.latency_ms)
