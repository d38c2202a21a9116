"""Progress on a terminal, for what takes longer than a person likes to wait without a word."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table

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


class _Patience:
    """A line that stays empty until somebody may begin to wonder."""

    def __init__(self, what: str, lasts_sec: float | None) -> None:
        self._what = what
        self._lasts_sec = lasts_sec
        self._begun_sec = time.monotonic()
        self._spinner = Spinner("line")

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        passed_sec = time.monotonic() - self._begun_sec
        if passed_sec < _PATIENCE_SEC:
            return
        row = Table.grid(padding=(0, 1, 0, 0))
        if self._lasts_sec is None:
            row.add_row(self._spinner, f"{self._what} {passed_sec:.0f} s")
        else:
            bar = ProgressBar(total=self._lasts_sec, completed=min(passed_sec, self._lasts_sec), width=20)
            row.add_row(bar, f"{self._what} {passed_sec:.0f} of {self._lasts_sec:.0f} s")
        yield row


@contextmanager
def patience(what: str, console: Console, lasts_sec: float | None = None) -> Iterator[None]:
    """While the block runs: after two seconds, a line on `console`, if that is a terminal, that says so.

    With `lasts_sec`, how long it will take, the line is a bar. It is gone afterwards.
    """
    if not console.is_terminal or console.is_dumb_terminal:
        yield
        return
    try:
        with Live(_Patience(what, lasts_sec), console=console, transient=True, refresh_per_second=8):
            yield
    finally:
        # An interrupt while the line is first drawn finds nobody who cleans up.
        console.show_cursor()
