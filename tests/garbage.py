"""Garbage collection in test runs: it does not look again and again through ten thousand collected tests.

It is all there is until the run ends, and takes 0.3 s each time that garbage is looked for among it.
"""

from __future__ import annotations

import gc
from collections.abc import Generator

import pytest


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect no garbage while tests are collected, and leave out later what there is then."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()
