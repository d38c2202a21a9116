"""Errors between an actor and its store. `store/redis/errors.py` maps those of Redis to them."""

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


class WrongServerError(StoreUnavailableError):
    """A Redis answered that does not take these writes: a replica, one that is loading, a cluster node.

    The address may lead to the right server by now, and only a new connection finds out.
    """


class WrongRightsError(StoreUnavailableError):
    """Redis refuses the login or a right, or does not know a command; the message names user and command.

    An administrator has to change that; the service waits for it and goes on by itself.
    """


class RedisFullError(StoreUnavailableError):
    """Redis takes no writes at present: no memory, no disk, or too few replicas."""


class StoreRefusedError(StoreError):
    """Redis answered and refused (wrong type, script error): waiting will not mend it."""


class WrongTypeError(StoreRefusedError):
    """A key holds something of another type than agreed. It goes on once somebody has mended that."""


class UnknownScriptError(StoreRefusedError):
    """Redis does not know the script's digest (any more): send its text."""


class GroupExistsError(StoreRefusedError):
    """The consumer group that was to be created is there already."""


class GroupLostError(StoreError):
    """The consumer group or its stream is gone (`NOGROUP`, `UNBLOCKED`): create it again."""


class FencedError(StoreError):
    """The lease is somebody else's by now: whoever asked must not write any more."""


#: Errors that no restart of an actor and no other input would avoid: Redis has to serve again, or an operator
#: has to repair a key or a right. The actor waits and repeats.
WAITED_OUT = (StoreUnavailableError, WrongTypeError)


def unless_refused(call: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T | None:
    """What `call` returns; None where it raises StoreRefusedError."""
    try:
        return call(*arguments, **named)
    except StoreRefusedError:
        return None
