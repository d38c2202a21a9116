"""Virtual time for all async tests of a module that says `pytestmark = virtual_time`.

pytest-trio itself takes a clock only from a test's arguments. A test with `@given` still needs it there.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest
import trio

virtual_time = pytest.mark.usefixtures("autojump_clock")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the marked tests on their clock; pytest-trio has marked the async ones before."""
    for item in items:
        marked = virtual_time.mark in item.iter_markers("usefixtures")
        if marked and isinstance(item, pytest.Function) and item.get_closest_marker("trio"):
            item.add_marker(pytest.mark.trio(run=partial(_run, item)), append=False)


def _run(item: pytest.Function, test: Callable[[], Awaitable[object]], **options: Any) -> object:
    return trio.run(test, **{**options, "clock": item.funcargs["autojump_clock"]})
