"""The error by which an invariant reports that it does not hold."""

from __future__ import annotations


class ViolationError(AssertionError):
    """Something happened that a guarantee rules out. `invariant` is its letter in docs/guarantees.md."""

    def __init__(self, invariant: str, what: str) -> None:
        super().__init__(f"({invariant}) {what}")
        self.invariant = invariant
        self.what = what


def require(condition: object, invariant: str, what: str) -> None:
    """Raises ViolationError unless the condition holds."""
    if not condition:
        raise ViolationError(invariant, what)
