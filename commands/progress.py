"""Progress on a terminal, for what takes longer than a person likes to wait without a word."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

T = TypeVar("T")

_PATIENCE_SEC = 2.0
_LOOK_EVERY = 64


def with_progress(things: Iterable[T], what: str, total: int | None, console: Console) -> Iterator[T]:
    """The same things; a bar on `console`, if that is a terminal, once it has taken two seconds.

    `total` is None where nobody knows how many there are.
    """
    if not console.is_terminal:
        yield from things
        return
    begun_sec = time.monotonic()
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )
    task: TaskID | None = None
    try:
        for number, thing in enumerate(things, 1):
            if number % _LOOK_EVERY == 0:
                if task is None and time.monotonic() - begun_sec > _PATIENCE_SEC:
                    bar.start()
                    task = bar.add_task(what, total=total)
                if task is not None:
                    bar.update(task, completed=number)
            yield thing
    finally:
        bar.stop()
