"""Stop of a run by signal or time limit, at any point and with a report."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_ENDED_BY = {
    signal.SIGINT: "interrupted",
    signal.SIGTERM: "stopped",
    signal.SIGALRM: "its time was over",
}


class StoppedError(Exception):
    """Stop, raised at any point of the run. `code`: exit code, None when the time was over."""

    def __init__(self, number: int) -> None:
        super().__init__(_ENDED_BY[signal.Signals(number)])
        self.code = None if number == signal.SIGALRM else 128 + number


@contextmanager
def stoppable(at_most_min: float | None) -> Iterator[None]:
    """Raise StoppedError in the block, once, at SIGINT, SIGTERM or the end of so many minutes.

    From then on, and after the block, signals are ignored: the run ends and prints its report. For the main
    thread, within `signals_restored`.
    """

    def stop(number: int, _: FrameType | None) -> None:
        _ignore()
        raise StoppedError(number)

    for each in _ENDED_BY:
        signal.signal(each, stop)
    try:
        if at_most_min is not None:
            signal.setitimer(signal.ITIMER_REAL, at_most_min * 60)
        yield
    finally:
        _ignore()
        signal.setitimer(signal.ITIMER_REAL, 0)


@contextmanager
def signals_restored() -> Iterator[None]:
    """Restore the signal handlers after the block."""
    before = {each: signal.getsignal(each) for each in _ENDED_BY}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _ignore() -> None:
    for each in _ENDED_BY:
        signal.signal(each, signal.SIG_IGN)
