"""`python -m tests.simulation.mutants`: proof that the simulation finds things.

Each mutation breaks one guarantee on purpose, in a copy of the tree. The search must catch it within 50
virtual hours. Where the service leaves a check to a Lua script, the script's twin in memory is broken: it is
what the simulation runs, and `tests/store` holds it to the script.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from tests.simulation.mutation import Mutation
from tests.simulation.mutations import MUTATIONS

MOST_HOURS = 50
_ROOT = Path(__file__).resolve().parents[2]


class Caught(msgspec.Struct, frozen=True):
    """Result of a search on a mutant. `invariant` is None when nothing was found."""

    hours: float
    seeds: int
    invariant: str | None = None
    violation: str | None = None
    seed: str | None = None


def main() -> int:
    """Return the exit code: 0 when every mutant was caught."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.mutants")
    parser.add_argument("--only", help="the mutations whose name contains this")
    parser.add_argument("--hours", type=float, default=MOST_HOURS)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    asked = parser.parse_args()
    console = Console()
    table = Table("mutation", "caught by", "after", "what was seen")
    survivors = 0
    for mutation in MUTATIONS:
        if asked.only and asked.only not in mutation.name:
            continue
        caught = search_mutant(mutation, asked.hours, asked.workers)
        seen = mutation.is_seen_in(caught.invariant, caught.violation)
        survivors += not seen
        by = f"({caught.invariant})" if seen else "NOTHING" if caught.invariant is None else "SOMETHING ELSE"
        after = f"{caught.hours:.1f} h, seed {caught.seed}" if caught.seed else f"{caught.hours:.1f} h"
        table.add_row(mutation.name, by, after, (caught.violation or "").partition("\n")[0][:90])
        console.print(f"{mutation.name}: {by} after {after}", highlight=False)
    console.print(table)
    return 1 if survivors else 0


def search_mutant(mutation: Mutation, hours: float, workers: int) -> Caught:
    """Break a copy of the tree, and search there."""
    with tempfile.TemporaryDirectory(prefix="mutant-") as folder:
        tree = Path(folder)
        _copy(tree)
        mutation.apply_to(tree)
        command = [sys.executable, "-m", "tests.simulation", "--json", "--quiet"]
        command += ["--hours", str(hours), "--workers", str(workers)]
        by_seed = mutation.governor or mutation.reconcile or mutation.intelligence or mutation.bridge != "off"
        command += ["--executor", "seed" if by_seed else _switch(mutation.executor)]
        command += ["--governor", _switch(mutation.governor), "--reconcile", _switch(mutation.reconcile)]
        command += ["--intent-bridge", mutation.bridge, "--universe", "off"]
        command += ["--intelligence", _switch(mutation.intelligence)]
        done = subprocess.run(  # noqa: S603 - our own interpreter, on a tree of our own
            command, cwd=tree, env={**os.environ, "PYTHONPATH": str(tree)}, capture_output=True, check=False
        )
    try:
        return msgspec.json.decode(done.stdout, type=Caught)
    except msgspec.DecodeError:
        # Not what was asked for, whatever it is.
        return Caught(0.0, 0, "crash", done.stderr.decode()[-2000:])


def _switch(there: bool) -> str:
    return "on" if there else "off"


def _copy(tree: Path) -> None:
    ignored = shutil.ignore_patterns("__pycache__")
    for package in _ROOT.glob("*/__init__.py"):
        shutil.copytree(package.parent, tree / package.parent.name, ignore=ignored)
    for module in _ROOT.glob("*.py"):
        shutil.copy(module, tree / module.name)


if __name__ == "__main__":
    sys.exit(main())
