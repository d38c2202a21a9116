"""Faults between a store and its Redis, injected by a test or a simulation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, TypeAlias

from store.errors import StoreUnavailableError, WrongRightsError

#: Point at which a call fails: before its effect (request lost) or after it (answer lost).
Effect: TypeAlias = Literal["before", "after"]


@dataclass
class _Planned:
    when: Effect
    method: str | None
    left: int


class Faults:
    """Failures to come: of single calls, or of all during an outage.

    Methods are named as in `store.protocol`. A failing call raises StoreUnavailableError, a forbidden one
    WrongRightsError.
    """

    def __init__(self, wake_readers: Callable[[], None]) -> None:
        """Take `wake_readers`, which makes blocked reads notice an outage."""
        self._wake_readers = wake_readers
        self._planned: list[_Planned] = []
        self._outages: list[Effect] = []
        self._forbidden: set[str] = set()

    @property
    def away(self) -> bool:
        """True during an outage."""
        return bool(self._outages)

    def fail_next(self, when: Effect, *, method: str | None = None, count: int = 1) -> None:
        """Let the next `count` calls (of `method`, if given) fail before or after their effect."""
        self._planned.append(_Planned(when, method, count))

    def forget(self) -> None:
        """Let no call fail that was to: those that wait for a method."""
        self._planned.clear()

    @contextmanager
    def outage(self, when: Effect = "before") -> Iterator[None]:
        """Let all calls fail for the length of a block, blocked reads and calls on their way included.

        With `after`, calls take effect and only their answers are lost.
        """
        self.begin_outage(when)
        try:
            yield
        finally:
            self.end_outage(when)

    def begin_outage(self, when: Effect = "before") -> None:
        """Begin an outage without a block; outages nest."""
        self._outages.append(when)
        self._wake_readers()

    def end_outage(self, when: Effect = "before") -> None:
        """End one outage."""
        self._outages.remove(when)

    def forbid(self, *methods: str) -> None:
        """Revoke the right to these methods: they fail without an effect, as on Redis 7 and newer."""
        self._forbidden.update(methods)

    def permit(self, *methods: str) -> None:
        """Grant the right to these methods again."""
        self._forbidden.difference_update(methods)

    def before(self, method: str) -> None:
        """Raise StoreError if the request is to be lost, or is forbidden."""
        if method in self._forbidden:
            raise WrongRightsError(f"user p33 has no right to {method}")
        if "before" in self._outages or self._due("before", method):
            raise StoreUnavailableError(f"{method}: the request was lost")

    def after(self, method: str) -> None:
        """Raise StoreUnavailableError if the answer is to be lost."""
        if self._outages or self._due("after", method):
            raise StoreUnavailableError(f"{method}: the answer was lost")

    def _due(self, when: Effect, method: str) -> bool:
        for planned in self._planned:
            if planned.when == when and planned.method in (None, method):
                planned.left -= 1
                if planned.left == 0:
                    self._planned.remove(planned)
                return True
        return False
