"""Tests marked `browser` look at the page in headless Chromium, which Python's index does not have.

Where there is none on PATH they are left out, and said to be; with P33_TESTS_NEED_BROWSER in the environment
none is left out, and they fail.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.page.browser import Browser, BrowserMissingError, browser, browser_paths

MARKER = "browser"
_LEFT_OUT = pytest.StashKey[str]()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", f"{MARKER}: needs chromium and chromedriver on PATH")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    marked = [item for item in items if item.get_closest_marker(MARKER)]
    if not marked or os.environ.get("P33_TESTS_NEED_BROWSER"):
        return
    try:
        browser_paths()
    except BrowserMissingError as error:
        config.stash[_LEFT_OUT] = f"{len(marked)} tests of the page in a browser are left out: {error}"
        config.hook.pytest_deselected(items=marked)
        items[:] = [item for item in items if not item.get_closest_marker(MARKER)]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if told := config.stash.get(_LEFT_OUT, ""):
        terminalreporter.write_line(told)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """One browser for all tests: starting it takes longer than most of them."""
    with browser() as started:
        yield started
