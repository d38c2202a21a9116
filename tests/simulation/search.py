"""Many seeds at once, and what is left of a failing one's faults when the needless are taken away."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from tests.simulation.faults import ROUND_SEC, draw_faults
from tests.simulation.scene import BY_SEED, Roles
from tests.simulation.simulation import Outcome, command, simulate

_MOST_TRIES = 24


@dataclass
class Found:
    """Result of a search. `needless`: by failing seed, the faults without which it fails, too."""

    outcomes: list[Outcome] = field(default_factory=list)
    failures: list[Outcome] = field(default_factory=list)
    needless: dict[str, tuple[int, ...]] = field(default_factory=dict)


def search(
    first: int,
    hours: float,
    *,
    workers: int,
    stop_at_first: bool = True,
    shrinks: bool = True,
    quiet: bool = False,
    niceness: int = 0,
    roles: Roles = BY_SEED,
) -> Found:
    """Run seeds from `first` on until so many virtual hours have passed, or one fails.

    `niceness`: that of the workers, above this process's. `roles`: see `simulate`.
    """
    run = partial(simulate, roles=roles)
    found = Found()
    seeds = iter(range(first, first + max(1, round(hours))))
    with (
        _bar(quiet) as progress,
        ProcessPoolExecutor(
            workers,
            mp_context=get_context("spawn"),
            initializer=os.nice,
            initargs=(niceness,),
            max_tasks_per_child=25,
        ) as pool,
    ):
        task = progress.add_task("simulating", total=hours)
        running: dict[Future[Outcome], int] = {}
        for seed in _first(seeds, workers):
            running[pool.submit(run, str(seed))] = seed
        while running:
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                del running[future]
                outcome = future.result()
                found.outcomes.append(outcome)
                progress.advance(task, outcome.hours)
                if outcome.violation is not None:
                    found.failures.append(outcome)
            if not (found.failures and stop_at_first):
                for seed in _first(seeds, workers - len(running)):
                    running[pool.submit(run, str(seed))] = seed
    if shrinks:
        for outcome in found.failures[:1]:
            found.needless[outcome.seed] = tuple(shrink(outcome))
    return found


def shrink(failing: Outcome) -> list[int]:
    """Return the numbers of the faults that need not be there for the same invariant to break. Bounded."""
    rounds = min(failing.rounds, int(failing.at_sec // ROUND_SEC) + 1)
    faults = draw_faults(failing.seed, failing.rounds, roles=failing.roles)
    kept = [number for number, fault in enumerate(faults) if fault.at_sec <= failing.at_sec]
    tries, size = 0, max(1, len(kept) // 2)
    while size and tries < _MOST_TRIES:
        for start in range(0, len(kept), size):
            tries += 1
            fewer = kept[:start] + kept[start + size :]
            chosen = [faults[number] for number in fewer]
            again = simulate(failing.seed, rounds, chosen, roles=failing.roles)
            if again.invariant == failing.invariant:
                kept = fewer
                break
            if tries >= _MOST_TRIES:
                break
        else:
            size //= 2
    return [number for number in range(len(faults)) if number not in kept]


def rerun_command(outcome: Outcome, needless: Sequence[int] = ()) -> str:
    """Return the command that repeats it."""
    again = command(outcome.seed, outcome.rounds, outcome.roles)
    if not needless:
        return again
    needed = [number for number in range(outcome.faults) if number not in needless]
    return f"{again} --faults {','.join(map(str, needed)) or 'none'}"


def _first(seeds: Iterator[int], count: int) -> list[int]:
    return [seed for _, seed in zip(range(count), seeds, strict=False)]


def _bar(quiet: bool) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:.1f} of {task.total:.0f} virtual hours"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=quiet,
    )
