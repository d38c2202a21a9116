"""`python -m tests.simulation`: search for a seed that breaks a guarantee, or run one again.

python -m tests.simulation --hours 100              # in parallel on all cores, with a progress bar
python -m tests.simulation --seed 7 --story 80      # one seed, and the last lines of its story
python -m tests.simulation --seed 7 --faults 3,5    # the same seed with these of its faults
"""

from __future__ import annotations

import argparse
import os
import sys
import time

import msgspec

from tests.simulation.chain_scene import BridgeMode
from tests.simulation.faults import FAULTY_SEC, ROUND_SEC, draw_faults
from tests.simulation.scene import Roles
from tests.simulation.search import rerun_command, search
from tests.simulation.simulation import ROUNDS_PER_HOUR, Outcome, simulate

_CHOICES = {"on": True, "off": False, "seed": None}
_MODES: dict[str, BridgeMode | None] = {"on": "on", "off": "off", "shadow": "shadow", "seed": None}


def main() -> int:
    """Return the exit code: 0 when every guarantee held."""
    asked = _arguments()
    if asked.seed is not None:
        return _one(asked)
    began_sec = time.monotonic()
    found = search(
        asked.first,
        asked.hours,
        workers=asked.workers,
        stop_at_first=not asked.keep_going,
        shrinks=not asked.json,
        quiet=asked.quiet,
        roles=_roles(asked),
    )
    if asked.json:
        print(msgspec.json.encode(_as_json(found.outcomes)).decode())
        return 1 if found.failures else 0
    wall_min = (time.monotonic() - began_sec) / 60
    hours = sum(outcome.hours for outcome in found.outcomes)
    cpu_sec = sum(outcome.cpu_sec for outcome in found.outcomes)
    print(
        f"{hours:.1f} virtual hours over {len(found.outcomes)} seeds in {wall_min:.1f} min: "
        f"{hours / wall_min:.1f} virtual hours per minute, {cpu_sec / max(hours, 1e-9):.2f} s of CPU each, "
        f"with trade and faults for {hours * FAULTY_SEC / ROUND_SEC:.1f} of them"
    )
    _print_counts(found.outcomes)
    for outcome in found.failures:
        print(f"\nseed {outcome.seed} at {outcome.at_sec:.1f} s: ({outcome.invariant}) {outcome.violation}")
        print(f"  again: {rerun_command(outcome, found.needless.get(outcome.seed, ()))}")
    return 1 if found.failures else 0


def _one(asked: argparse.Namespace) -> int:
    seed, rounds, roles = asked.seed, asked.rounds, _roles(asked)
    faults = draw_faults(seed, rounds, roles=roles)
    numbers = range(len(faults)) if asked.faults == "all" else _numbers(asked.faults)
    kept = [faults[number] for number in numbers]
    outcome = simulate(
        seed,
        rounds,
        kept,
        roles=roles,
        log_to_trace=asked.log,
        story_lines=asked.story,
    )
    for number, fault in enumerate(faults):
        if number in numbers and fault.at_sec < outcome.at_sec:
            print(f"fault {number}: {fault.kind} at {fault.at_sec} s for {fault.for_sec} s")
    print("\n".join(outcome.story))
    print(
        f"seed {seed}: {outcome.hours:.2f} virtual hours, {outcome.steps} steps, "
        f"{outcome.cpu_sec:.1f} s of CPU, trace {outcome.digest}"
    )
    _print_counts([outcome])
    if outcome.violation is not None:
        print(f"({outcome.invariant}) {outcome.violation}")
    return 0 if outcome.violation is None else 1


def _as_json(outcomes: list[Outcome]) -> dict[str, object]:
    failing = next((outcome for outcome in outcomes if outcome.violation is not None), None)
    shown: dict[str, object] = {"hours": sum(outcome.hours for outcome in outcomes), "seeds": len(outcomes)}
    if failing is not None:
        shown |= {"invariant": failing.invariant, "violation": failing.violation, "seed": failing.seed}
    return shown


def _print_counts(outcomes: list[Outcome]) -> None:
    total: dict[str, int] = {}
    for outcome in outcomes:
        for name, count in outcome.counts.items():
            total[name] = total.get(name, 0) + count
    print("; ".join(f"{name} {count}" for name, count in total.items()))


def _roles(asked: argparse.Namespace) -> Roles:
    return Roles(
        _CHOICES[asked.executor],
        _CHOICES[asked.governor],
        _CHOICES[asked.reconcile],
        _MODES[asked.intent_bridge],
        _CHOICES[asked.intelligence],
        _CHOICES[asked.universe],
    )


def _numbers(text: str) -> list[int]:
    return [] if text == "none" else sorted({int(part) for part in text.split(",")})


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    parser.add_argument("--hours", type=float, default=20.0, help="virtual hours to run")
    parser.add_argument("--first", type=int, default=1, help="the first seed")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--keep-going", action="store_true", help="do not end at the first failing seed")
    parser.add_argument("--seed", help="run this seed alone")
    parser.add_argument("--rounds", type=int, default=ROUNDS_PER_HOUR, help="rounds of half a virtual hour")
    parser.add_argument("--faults", default="all", help="numbers of its faults, `all` or `none`")
    parser.add_argument(
        "--executor",
        choices=tuple(_CHOICES),
        default="seed",
        help="on: the service's own executor sends the orders; off: played consumers do",
    )
    parser.add_argument(
        "--governor",
        choices=tuple(_CHOICES),
        default="seed",
        help="on: the service's own Governor judges, or does so in the shadow; off: a played one, or none",
    )
    parser.add_argument(
        "--reconcile",
        choices=tuple(_CHOICES),
        default="seed",
        help="on: the service's own reconcile engine repairs, or is in the shadow; off: a played one does",
    )
    parser.add_argument(
        "--intent-bridge",
        choices=tuple(_MODES),
        default="seed",
        help="on: intents become plans by the service's own bridge; off: all plans are published by others",
    )
    parser.add_argument(
        "--intelligence", choices=tuple(_CHOICES), default="seed", help="on: results are counted (P3.5)"
    )
    parser.add_argument(
        "--universe",
        choices=tuple(_CHOICES),
        default="seed",
        help="on: the service's own universe is published, or is in the shadow; off: a played one",
    )
    parser.add_argument("--story", type=int, default=60, help="how many of the last lines to print")
    parser.add_argument("--log", action="store_true", help="print the service's log lines, too")
    parser.add_argument("--json", action="store_true", help="say what was found in JSON, and shrink nothing")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
