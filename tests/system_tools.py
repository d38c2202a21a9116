"""Tests marked `system_tools` need what Python's index does not have: `make check` runs them all.

`make test` leaves them out and says so; with P33_TESTS_NEED_SYSTEM_TOOLS in the environment none is left out,
and one whose tool is missing fails.
"""

from __future__ import annotations

import os

import pytest

MARKER = "system_tools"
_LEFT_OUT = pytest.StashKey[int]()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", f"{MARKER}: needs tools of the system; run by `make check`")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if os.environ.get("P33_TESTS_NEED_SYSTEM_TOOLS"):
        return
    left_out = [item for item in items if item.get_closest_marker(MARKER)]
    config.stash[_LEFT_OUT] = len(left_out)
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not item.get_closest_marker(MARKER)]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if left_out := config.stash.get(_LEFT_OUT, 0):
        terminalreporter.write_line(
            f"{left_out} tests of deploy/ and docs/ need tools of the system: make check runs them"
        )
