"""Exceptions at a chosen await: the n-th task to pass fails there."""

from __future__ import annotations


class SabotageError(Exception):
    """The error that is raised inside an actor on purpose."""


class Tripwire:
    """Lies across one kind of way: calls of the store, requests, what a stream's reader waits for."""

    def __init__(self, way: str) -> None:
        self._way = way
        self._left = 0

    def lay(self, passing: int) -> None:
        """Let the `passing`-th task from now fail; 0: none."""
        self._left = passing

    def cross(self) -> None:
        """Raises SabotageError if it is one's turn."""
        if self._left:
            self._left -= 1
            if not self._left:
                raise SabotageError(self._way)
