"""The command line's parser."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from commands import calls, help_texts
from commands.argument_types import (
    count,
    entry_id,
    lasting,
    person,
    reason,
    seconds,
    subject,
    symbol,
)

SHELLS = ("bash", "zsh", "fish")
#: Deciders that `replay` knows, and roles that `compare` knows.
REPLAYED_ROLES = ("p33", "governor", "executor", "universe", "reconcile", "bridge")
COMPARED_ROLES = ("governor", "executor", "reconcile", "bridge", "universe")
#: Those of `monitoring.firing`, which this parser does not import.
NOTICE_KINDS = (
    "not_ready", "ban", "restart_limit", "disarm", "unknown_execution", "case", "divergence", "all_denied",
)  # fmt: skip
_Command = Callable[[argparse.Namespace], int]


def parser() -> argparse.ArgumentParser:
    """Return the parser; `command` of its result is the function to call."""
    top = argparse.ArgumentParser(
        prog="position-state-brain",
        description=help_texts.TOP,
        epilog=help_texts.TOP_END,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    commands = top.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def add(name: str, command: _Command, summary: str, text: str) -> argparse.ArgumentParser:
        added: argparse.ArgumentParser = commands.add_parser(
            name, help=summary, description=text, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        added.set_defaults(command=command, name=name)
        return added

    add("run", calls.run, "the daemon; settings come from the environment", help_texts.RUN)

    demo = add(
        "demo", calls.demo, "everything on this machine: exchange, Redis, daemon, pipeline", help_texts.DEMO
    )
    demo.add_argument("--seconds", type=float, metavar="N", help="end by itself (default: until Ctrl-C)")
    demo.add_argument(
        "--roles",
        type=calls.demo_roles,
        metavar="NAMES",
        help="roles of the daemon, of universe,governor,executor,reconcile (default: all); others are played",
    )
    _file(demo, "--export", "write the decisions to a new file, for replay")

    check = add(
        "check",
        calls.check,
        "checks what the service needs, with a fix for what is missing",
        help_texts.CHECK,
    )
    check.add_argument(
        "--watch",
        type=seconds,
        default=2.0,
        metavar="SECONDS",
        help="how long to look for another writer of the ledger (default: 2)",
    )
    check.add_argument(
        "--measure", action="store_true", help="measure at Binance what its documents leave open (2 minutes)"
    )
    check.add_argument(
        "--order",
        type=str.upper,
        metavar="SYMBOL",
        help="with --measure: one order and its close; asks first",
    )
    check.add_argument(
        "--delete-key",
        action="store_true",
        help="with --measure, without a terminal: delete the account's listen key",
    )
    _json(check)

    status = add("status", calls.status, "the state of a running daemon, live", help_texts.STATUS)
    form = status.add_mutually_exclusive_group()
    form.add_argument("--once", action="store_true", help="print once")
    form.add_argument("--json", action="store_true", help="once, for programs: what /status answers")
    _url(status)

    proof = add(
        "proof", calls.proof, "proves that a running deployment works, in eight points", help_texts.PROOF
    )
    proof.add_argument("--no-probe", action="store_true", help="publish no probe plan")
    _url(proof)
    _json(proof)

    explain = add(
        "explain",
        calls.explain,
        "explains the way of a plan, an order or an intent, or a symbol's case",
        help_texts.EXPLAIN,
    )
    explain.add_argument(
        "subject",
        metavar="PLAN|ORDER|INTENT|SYMBOL",
        help="an id, or its beginning, as the log lines show it; or a symbol such as BTCUSDT",
    )
    _json(explain)

    replay = add(
        "replay",
        calls.replay,
        "replays recorded decisions, with the same or other settings",
        help_texts.REPLAY,
    )
    what = replay.add_mutually_exclusive_group()
    what.add_argument("--last", type=count, metavar="N", help="only the newest N records")
    what.add_argument("--since", type=seconds, metavar="SECONDS", help="only those of the last SECONDS")
    _file(what, "--file", "an exported file instead of Redis")
    replay.add_argument(
        "--set", action="extend", nargs="+", default=[], metavar="NAME=VALUE", help="a setting to try out"
    )
    role = replay.add_mutually_exclusive_group()
    roles = ", ".join(REPLAYED_ROLES)
    role.add_argument(
        "--role", choices=REPLAYED_ROLES, metavar="ROLE", help=f"whose decisions: {roles} (default: p33)"
    )
    role.add_argument(
        "--governor", dest="role", action="store_const", const="governor", help="the same as --role governor"
    )
    replay.add_argument("--shadow", action="store_true", help="those of its shadow, or of a dry run")
    _file(replay, "--export", "also write the records to a new file")

    compare = add(
        "compare",
        calls.compare,
        "compares a role's shadow with the service that plays the role",
        help_texts.COMPARE,
    )
    compare.add_argument("role", choices=COMPARED_ROLES, help="the role whose shadow runs here")
    of = compare.add_mutually_exclusive_group()
    of.add_argument("--last", type=count, metavar="N", help="only our newest N decisions")
    of.add_argument("--since", type=seconds, metavar="SECONDS", help="only those of the last SECONDS")
    _json(compare)

    state = add(
        "trading-state", calls.trading_state, "shows or sets the trading state", help_texts.TRADING_STATE
    )
    state.add_argument(
        "state",
        nargs="?",
        type=str.lower,
        choices=("active", "reducing", "halted"),
        help="the state to set (default: show it)",
    )
    _order(state, required=False)

    hold = add("hold", calls.hold, "holds a symbol until it is released", help_texts.HOLD)
    hold.add_argument("symbol", type=symbol, metavar="SYMBOL", help="the symbol, such as BTCUSDT")
    hold.add_argument("--force", action="store_true", help="also in the place of a hold of another service")
    _order(hold)

    release = add("release", calls.release, "releases a symbol that is held", help_texts.RELEASE)
    release.add_argument("symbol", type=symbol, metavar="SYMBOL", help="the symbol, such as BTCUSDT")
    release.add_argument("--force", action="store_true", help="also a hold that no operator has set")
    _order(release)

    republish = add(
        "republish", calls.republish, "publishes a dead letter's original again", help_texts.REPUBLISH
    )
    republish.add_argument(
        "stream", choices=("apply.plan", "apply.result"), metavar="STREAM", help="apply.plan or apply.result"
    )
    republish.add_argument("letter", type=entry_id, metavar="ENTRY_ID", help="the dead letter's own id")
    _order(republish)

    seen = add("acknowledge", calls.acknowledge, "marks a notice as seen by a person", help_texts.ACKNOWLEDGE)
    seen.add_argument("kind", choices=NOTICE_KINDS, metavar="KIND", help=f"one of {', '.join(NOTICE_KINDS)}")
    seen.add_argument(
        "subject",
        nargs="?",
        default="",
        type=subject,
        metavar="SUBJECT",
        help="symbol of case and divergence, plan of unknown_execution, group of restart_limit",
    )
    seen.add_argument("--by", type=person, metavar="NAME", help="the person (default: the login)")
    seen.add_argument(
        "--for",
        dest="for_sec",
        default=3600.0,
        type=lasting,
        metavar="TIME",
        help="how long, such as 30m, 2h or 1d; 7d at most (default: 1h)",
    )

    simulate = add(
        "simulate-exchange",
        calls.simulate_exchange,
        "the Binance stand-in alone, on loopback",
        help_texts.SIMULATE,
    )
    simulate.add_argument("--rest-port", type=int, default=0, metavar="PORT", help="0: any free port")
    simulate.add_argument("--stream-port", type=int, default=0, metavar="PORT", help="0: any free port")
    simulate.add_argument("--latency-ms", type=float, default=0.0, metavar="MS", help="of REST answers")

    completion = add(
        "completion", calls.completion, "a completion script for your shell", help_texts.COMPLETION
    )
    completion.add_argument("shell", choices=SHELLS, help="the shell that it is for")
    return top


class _Version(argparse.Action):
    """Prints the version. It is read only when asked for: that takes 30 ms."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from monitoring.service_log import version

        print(f"{parser.prog} {version()}")
        parser.exit()


def _json(command: argparse.ArgumentParser) -> None:
    command.add_argument("--json", action="store_true", help="everything, for programs")


def _url(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--url", metavar="URL", help="where the daemon answers (default: P33_BIND and P33_METRICS_PORT)"
    )


def _file(command: Any, name: str, text: str) -> None:
    command.add_argument(name, type=Path, metavar="FILE", help=text)


def _order(command: argparse.ArgumentParser, *, required: bool = True) -> None:
    command.add_argument(
        "--reason", type=reason, required=required, metavar="TEXT", help="why; it is stored with the change"
    )
    command.add_argument("--yes", action="store_true", help="do not ask")
