"""Virtual time for all tests of a module that says `pytestmark = virtual_time`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
import trio
from trio.testing import MockClock


def _run(test: Callable[[], Awaitable[None]], *, clock: None, instruments: Sequence[Any]) -> None:
    trio.run(test, clock=MockClock(autojump_threshold=0), instruments=instruments)


virtual_time = pytest.mark.trio(run=_run)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the module's mark before the one that pytest-trio gives each test, which would win."""
    for item in items:
        if any(mark.kwargs.get("run") is _run for mark in item.iter_markers("trio")):
            item.add_marker(virtual_time, append=False)
