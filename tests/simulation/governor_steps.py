"""The judge of the Governor's steps, as its store sees it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

T = TypeVar("T")


class GovernorSteps(Protocol):
    """Receiver of the Governor's effects, which it brings about. Raises AssertionError."""

    def judged(self, writer: str, entries: Sequence[tuple[str, str]], effect: Callable[[], T]) -> T: ...

    def changed(self, writer: str, entry_ids: Sequence[str], effect: Callable[[], T]) -> T: ...

    def kept_equity(self, effect: Callable[[], T]) -> T: ...
