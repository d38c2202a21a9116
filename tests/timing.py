"""Tests marked `timing` run alone, in a parallel run too.

Each test holds a lock on a file, an exclusive one if it is marked and a shared one otherwise. A second lock
queues for the first, so that no later test overtakes a marked one.
"""

from __future__ import annotations

import fcntl
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

_FOLDER = pytest.StashKey[Path]()


def pytest_configure(config: pytest.Config) -> None:
    """Make the folder of the locks, in a worker of a parallel run."""
    if hasattr(config, "workerinput"):
        assert config.cache is not None
        config.stash[_FOLDER] = config.cache.mkdir("timing")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Run a test and its fixtures under the lock."""
    folder = item.config.stash.get(_FOLDER, None)
    if folder is None:
        return (yield)
    with lock(folder, alone=item.get_closest_marker("timing") is not None):
        return (yield)


@contextmanager
def lock(folder: Path, *, alone: bool) -> Iterator[None]:
    """Hold the lock in a folder, shared with others or `alone`, for the length of a block."""
    with ExitStack() as held:
        with _flock(folder / "queue", fcntl.LOCK_EX):
            held.enter_context(_flock(folder / "running", fcntl.LOCK_EX if alone else fcntl.LOCK_SH))
        yield


@contextmanager
def _flock(path: Path, kind: int) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, kind)
        yield
