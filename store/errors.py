"""What can go wrong between an actor and its store."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class StoreError(Exception):
    """Base of all errors of the store."""


class StoreUnavailableError(StoreError):
    """Redis did not answer, or not as a primary that takes writes would: wait and try again.

    Nothing is known of a write that was under way: it took effect or it did not. Every write of this
    service can be repeated.
    """


class StoreRefusedError(StoreError):
    """Redis answered and refused (wrong type, script error): waiting will not mend it."""


class WrongTypeError(StoreRefusedError):
    """A key holds something of another type than agreed. It goes on once somebody has mended that."""


class GroupLostError(StoreError):
    """The consumer group or its stream is gone (`NOGROUP`, `UNBLOCKED`): create it again."""


class FencedError(StoreError):
    """The lease is somebody else's by now: whoever asked must not write any more."""


def unless_refused(call: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T | None:
    """What `call` returns; None where it raises StoreRefusedError."""
    try:
        return call(*arguments, **named)
    except StoreRefusedError:
        return None
