"""Marks by folder, fixture and parameter, and the tests that are skipped for want of a tool.

A test is fast if it has none of the marks `process`, `redis`, `simulation`, `browser` and `timing`: it starts
no program, and fails when it tries to. A test that differs from its folder is marked in its own file.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from tests.deploy.booted_host import lacking
from tests.store.redis_servers import known_servers

_BY_FOLDER = {
    "permit-gate/tests/": "redis",
    "tests/bench/": "process",
    "tests/integration/": "process",
    "tests/simulation/": "simulation",
}
_BY_FIXTURE = {
    "chromium": "browser",
    "deployed": "redis",
    "hedged": "process",
    "measured": "process",
    "one_way": "process",
    "redis_server": "redis",
    "simulator": "process",
    "system_redis": "redis",
    "terminal": "process",
}
_SLOW = {"process", "redis", "simulation", "browser", "timing"}
#: Long tests begin first: one that begins last lets all other workers wait.
_LONGEST_FIRST = ("simulation", "process", "browser", "redis")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests, and sort them: the longest first, those marked `timing` at the end."""
    servers = known_servers()
    values: set[str | Path] = {"a-redis", *servers, *servers.values()}
    for item in items:
        for mark in _marks(item, values):
            item.add_marker(mark)
    items.sort(key=_place)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Let a fast test fail that starts a program."""
    if _SLOW & _marks_of(item):
        return (yield)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subprocess.Popen, "__init__", _refuse)
        return (yield)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test that lacks a tool, unless the environment forbids it."""
    marks = _marks_of(item)
    if "system_tools" in marks and not os.environ.get("P33_TESTS_NEED_SYSTEM_TOOLS"):
        pytest.skip("needs tools of the system: make check runs it")
    if "browser" in marks and not os.environ.get("P33_TESTS_NEED_BROWSER"):
        missing = [program for program in ("chromium", "chromedriver") if shutil.which(program) is None]
        if missing:
            pytest.skip(f"needs {' and '.join(missing)} on PATH (Debian: chromium, chromium-driver)")
    if "systemd" in marks and not os.environ.get("P33_TESTS_NEED_SYSTEMD") and (wanted := lacking()):
        pytest.skip(f"a systemd cannot boot here: it {wanted}")


def _marks(item: pytest.Item, servers: set[str | Path]) -> Iterator[str]:
    yield from (mark for folder, mark in _BY_FOLDER.items() if item.nodeid.startswith(folder))
    yield from (mark for name, mark in _BY_FIXTURE.items() if name in getattr(item, "fixturenames", ()))
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    if any(value in servers for value in parameters.values() if isinstance(value, str | Path)):
        yield "redis"
    if item.get_closest_marker("system_tools") or item.get_closest_marker("systemd"):
        yield "process"


def _place(item: pytest.Item) -> tuple[bool, int]:
    marks = _marks_of(item)
    found = (number for number, mark in enumerate(_LONGEST_FIRST) if mark in marks)
    return "timing" in marks, next(found, len(_LONGEST_FIRST))


def _marks_of(item: pytest.Item) -> set[str]:
    return {mark.name for mark in item.iter_markers()}


def _refuse(*_: object, **__: object) -> NoReturn:
    raise AssertionError("a fast test starts a program: mark it `process` or `redis` (tests/marks.py)")
