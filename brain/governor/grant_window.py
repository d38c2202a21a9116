"""Times of a symbol's grants within the last hour: an immutable sequence that grows without a copy."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator


class GrantWindow:
    """Epoch milliseconds, ascending. Windows that grew out of each other share their times.

    A symbol may have thousands of grants in an hour, and each judgement rests on a window of its own.
    """

    __slots__ = ("_end", "_first", "_times")

    def __init__(self, times: Iterable[int] = ()) -> None:
        self._times = list(times)
        self._first, self._end = 0, len(self._times)

    def __len__(self) -> int:
        return self._end - self._first

    def __iter__(self) -> Iterator[int]:
        return iter(self._times[self._first : self._end])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, GrantWindow) and list(self) == list(other)

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({list(self)!r})"

    def after(self, at_ms: int) -> int:
        """Return the number of grants later than `at_ms`."""
        return self._end - bisect_right(self._times, at_ms, self._first, self._end)

    def since(self, from_ms: int) -> GrantWindow:
        """Return the window without the grants before `from_ms`."""
        first = bisect_left(self._times, from_ms, self._first, self._end)
        return self if first == self._first else self._view(self._times, first, self._end)

    def with_grant(self, at_ms: int) -> GrantWindow:
        """Return the window with a grant that is not earlier than any of it."""
        times = self._times
        if len(times) > self._end:
            # Another window has grown out of this one.
            times = times[: self._end]
        times.append(at_ms)
        return self._view(times, self._first, self._end + 1)

    def without(self, at_ms: int) -> GrantWindow:
        """Return the window without one grant at that time, if it has one."""
        times = list(self)
        if at_ms in times:
            times.remove(at_ms)
        return GrantWindow(times)

    def _view(self, times: list[int], first: int, end: int) -> GrantWindow:
        window = GrantWindow.__new__(GrantWindow)
        # What has fallen out of the hour is let go once it is most of what is kept.
        if first > _MOST_PASSED and first * 2 > end:
            times = times[first:end]
            first, end = 0, len(times)
        window._times, window._first, window._end = times, first, end
        return window


_MOST_PASSED = 1_000
