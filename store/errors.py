"""Errors between an actor and its store. `store/redis/errors.py` maps those of Redis to them."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from brain.identifiers import Symbol

P = ParamSpec("P")
T = TypeVar("T")


class StoreError(Exception):
    """Base of all errors of the store."""


class StoreUnavailableError(StoreError):
    """Redis did not answer, or is no primary that takes writes: retry.

    A write under way may or may not have taken effect. Every write of this service is idempotent.
    """


class WrongServerError(StoreUnavailableError):
    """The server that answered takes no such writes.

    It is a replica, loads, lacks replicas of its own, or is a cluster node or a Sentinel.

    The address may resolve to another server by now: reconnect.
    """


class WrongRightsError(StoreUnavailableError):
    """Redis refuses the login or a right, or does not know a command; the message names user and command.

    An administrator has to grant it; the service retries until then.
    """


class RedisFullError(StoreUnavailableError):
    """Redis takes no writes at present: no memory or no disk."""


class StoreRefusedError(StoreError):
    """Redis answered with an error (wrong type, script error): a retry alone does not help."""


class WrongTypeError(StoreRefusedError):
    """A key holds another type than the contract gives it. An operator has to repair it."""


class UnreadableOrderError(StoreRefusedError):
    """The record of an order has a text that this service never wrote. An operator has to repair it.

    `symbol` is the record's, None where that cannot be read either.
    """

    symbol: Symbol | None = None


class UnknownScriptError(StoreRefusedError):
    """Redis does not have the script's digest loaded: send its text."""


class GroupExistsError(StoreRefusedError):
    """The consumer group exists already."""


class GroupLostError(StoreError):
    """The consumer group or its stream is gone (`NOGROUP`, `UNBLOCKED`): create it again."""


class FencedError(StoreError):
    """The lease has passed to another process: this one must not write any more."""


#: Errors that a restart of the actor does not avoid: Redis has to serve again, or an operator has to repair a
#: key or a right. The actor retries.
RETRYABLE_ERRORS = (StoreUnavailableError, WrongTypeError)


def unless_refused(call: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T | None:
    """Return the result of `call`, or None where it raises StoreRefusedError."""
    try:
        return call(*arguments, **named)
    except StoreRefusedError:
        return None
