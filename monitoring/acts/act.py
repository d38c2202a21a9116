"""An act that is prepared: what stands now, what it would change, and the write that compares."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec

from store.errors import StoreError, StoreUnavailableError
from store.operator_protocol import OperatorStore

#: Returns a sentence on what was done; None where the state is another than the one that was read.
Write = Callable[[OperatorStore], Awaitable[str | None]]


class Act(msgspec.Struct, frozen=True, kw_only=True):
    """`present` and `change` are sentences. `write` is None where there is nothing to change.

    `seen` is equal for two acts that were prepared on the same state.
    """

    present: tuple[str, ...]
    change: tuple[str, ...] = ()
    question: str = ""
    seen: str = ""
    write: Write | None = None


class RefusedActError(Exception):
    """The act is refused; the message says why. `present`: what stands now, as sentences."""

    def __init__(self, message: str, present: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.present = present


class ForceNeededError(RefusedActError):
    """The hold is another's, and `force` was not given."""


class DoneAlreadyError(RefusedActError):
    """The same person has done it before, for the same reason, and it can be done once only."""


def is_unanswered(error: StoreError) -> bool:
    """Return whether a write may have been done: Redis did not answer. Any error that it answers is a no."""
    return type(error) is StoreUnavailableError
