"""Calls of the commands with what the command line says.

Each command is imported when it runs: `demo` must not pay for the daemon, nor the daemon for the demo.
"""

from __future__ import annotations

import argparse
import os
import sys
from typing import Any

#: As argparse ends a command line that it cannot read.
EXIT_USAGE = 2


def run(_: argparse.Namespace) -> int:
    """Run the daemon."""
    from commands.run import run

    return run(os.environ)


def demo(options: argparse.Namespace) -> int:
    """Run the demo."""
    from commands import demo

    return demo.main(options.seconds, options.export, options.roles)


def demo_roles(text: str) -> Any:
    """Read the roles of the demo."""
    from commands.demo.roles import read_roles

    return read_roles(text)


def check(options: argparse.Namespace) -> int:
    """Check, or measure."""
    if options.measure:
        return _measure(options)
    if options.order or options.delete_key:
        print("position-state-brain: --order and --delete-key belong to --measure", file=sys.stderr)
        return EXIT_USAGE
    from commands.check import check

    return check(os.environ, as_json=options.json, watch_sec=options.watch)


def _measure(options: argparse.Namespace) -> int:
    from commands.check.measure import MeasureOptions, measure
    from commands.console.questions import ask_at_terminal

    chosen = MeasureOptions(as_json=options.json, delete_key=options.delete_key, order_symbol=options.order)
    return measure(os.environ, chosen, ask=ask_at_terminal())


def status(options: argparse.Namespace) -> int:
    """Show the daemon."""
    from commands.status import status

    if options.json:
        return status(os.environ, url=options.url, form="json")
    return status(os.environ, url=options.url, form="once" if options.once else "live")


def proof(options: argparse.Namespace) -> int:
    """Prove a deployment."""
    from commands.proof import proof

    return proof(os.environ, url=options.url, as_json=options.json, publish=not options.no_probe)


def explain(options: argparse.Namespace) -> int:
    """Explain a subject."""
    from commands.explain import explain

    return explain(os.environ, options.subject, as_json=options.json)


def replay(options: argparse.Namespace) -> int:
    """Replay decisions."""
    from commands.replay import ReplayOptions, replay

    return replay(
        os.environ,
        ReplayOptions(
            options.set,
            options.last,
            options.since,
            options.file,
            options.export,
            options.role,
            options.shadow,
        ),
    )


def compare(options: argparse.Namespace) -> int:
    """Compare a shadow."""
    from commands.compare import CompareOptions, compare

    chosen = CompareOptions(options.last, options.since)
    return compare(os.environ, options.role, chosen, as_json=options.json)


def trading_state(options: argparse.Namespace) -> int:
    """Show or set the trading state."""
    if options.state is not None and options.reason is None:
        print("position-state-brain: a change of the trading state needs --reason TEXT", file=sys.stderr)
        return EXIT_USAGE
    from brain.execution.switches import TradingState
    from commands.switches import trading_state

    wanted = None if options.state is None else TradingState(options.state.upper())
    return trading_state(os.environ, wanted, _order_of(options))


def hold(options: argparse.Namespace) -> int:
    """Hold a symbol."""
    from commands.switches import hold

    return hold(os.environ, options.symbol, _order_of(options), force=options.force)


def release(options: argparse.Namespace) -> int:
    """Release a symbol."""
    from commands.switches import release

    return release(os.environ, options.symbol, _order_of(options), force=options.force)


def republish(options: argparse.Namespace) -> int:
    """Publish a dead letter again."""
    from commands.switches import republish

    return republish(os.environ, options.stream, options.letter, _order_of(options))


def acknowledge(options: argparse.Namespace) -> int:
    """Mark a notice as seen."""
    from commands.switches import acknowledge
    from commands.switches.seen_notices import Acknowledgement

    seen = Acknowledgement(options.kind, options.subject, options.by or "", options.for_sec)
    return acknowledge(os.environ, seen)


def _order_of(options: argparse.Namespace) -> Any:
    from commands.console.questions import ask_at_terminal
    from commands.switches.changes import Order

    return Order(options.reason or "", options.yes, ask_at_terminal())


def simulate_exchange(options: argparse.Namespace) -> int:
    """Run the exchange's stand-in."""
    from commands.simulate_exchange import simulate_exchange

    return simulate_exchange(options.rest_port, options.stream_port, options.latency_ms)


def completion(options: argparse.Namespace) -> int:
    """Print a completion script."""
    from commands.cli import parser
    from commands.completion import completion_script

    print(completion_script(parser(), options.shell))
    return 0
