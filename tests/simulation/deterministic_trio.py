"""A trio run that depends on nothing but its seed: virtual time, and tasks in an order drawn from the seed.

trio runs the tasks of one batch in an order of chance, from a generator of its own. Only where
`_ALLOW_DETERMINISTIC_SCHEDULING` is set does it sort the batch by the age of the tasks before it shuffles;
otherwise the order of sets of tasks, and so of addresses, shows through. Both names are private: they are
touched here and nowhere else, and `test_determinism.py` fails when they go.
"""

from __future__ import annotations

import gc
import math
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from random import Random
from typing import TypeVar
from unittest.mock import patch

import trio
from trio._core import _io_epoll, _run
from trio.abc import Clock

T = TypeVar("T")

#: Where no task waits for the clock, sockets are waited for: those with which trio wakes itself at its start.
_SOCKETS_SEC = 0.05
_MOST_WAITS = 200


class JumpingClock(Clock):
    """Virtual time that begins at 0 and stands still while any task can run.

    trio asks how long to sleep when none can: then it is that much later. As `MockClock` with its autojump,
    without looking for sockets first, of which there are none; that halves the cost of every sleep.
    """

    def __init__(self) -> None:
        self._now_sec = 0.0
        self._waits = 0

    def start_clock(self) -> None:
        """It is 0."""

    def current_time(self) -> float:
        """Virtual seconds since the start."""
        return self._now_sec

    def deadline_to_sleep_time(self, deadline: float) -> float:
        """Nothing to sleep: it is `deadline` already."""
        if deadline == math.inf:
            self._waits += 1
            if self._waits > _MOST_WAITS:
                raise RuntimeError("every task waits, and none for the clock")
            return _SOCKETS_SEC
        self._waits = 0
        self._now_sec = max(self._now_sec, deadline)
        return 0.0


def run(main: Callable[[], Awaitable[T]], seed: str) -> T:
    """Run `main` on virtual time, which jumps whenever all tasks wait for it."""

    async def with_nothing_but_the_clock() -> T:
        with _no_sockets():
            return await main()

    with _scheduling_drawn_from(seed), _no_collection():
        return trio.run(with_nothing_but_the_clock, clock=JumpingClock())


@contextmanager
def _scheduling_drawn_from(seed: str) -> Iterator[None]:
    before = _run._ALLOW_DETERMINISTIC_SCHEDULING, _run._r
    _run._ALLOW_DETERMINISTIC_SCHEDULING = True  # type: ignore[misc]
    _run._r = Random(f"{seed}:scheduling")
    try:
        yield
    finally:
        _run._ALLOW_DETERMINISTIC_SCHEDULING, _run._r = before  # type: ignore[misc]


@contextmanager
def _no_sockets() -> Iterator[None]:
    """There is none here, so the system is not polled at every step."""
    with patch.object(_io_epoll.EpollIOManager, "get_events", lambda _self, _timeout: ()):
        yield


@contextmanager
def _no_collection() -> Iterator[None]:
    """Collect garbage only in `collect`: finalisation must not depend on earlier allocations."""
    frozen_before = gc.get_freeze_count()
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        if not frozen_before:
            gc.unfreeze()


def collect() -> None:
    """Collect garbage now, at a moment of virtual time that the seed decides."""
    gc.collect()
