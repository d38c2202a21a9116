"""A decider whose records can be replayed, and a replayed record."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

import msgspec

from store.keys import Keys


class Again(Protocol):
    """A recorded outcome beside the present one of the same input."""

    @property
    def same_answer(self) -> bool:
        """True if both answer the same."""

    @property
    def identical(self) -> bool:
        """True if both are equal in every value."""

    def differences(self) -> list[tuple[str, object, object]]:
        """Return name, recorded and present value of each difference, as JSON values."""


class Answer(msgspec.Struct, frozen=True):
    """An answer to a plan: whether it may go on, with the reason."""

    allow: bool
    reason: str


class ReplayedRecord(msgspec.Struct, frozen=True):
    """A record that was decided again: the answers before and after, and what differs.

    `name`: the plan's id, or what else it was about.
    """

    name: str
    symbol: str | None
    before: Answer
    after: Answer
    again: Again


class NotReplayedError(ValueError):
    """A record that cannot be decided again. `reason`: its outcome, None for bytes that are no record."""

    def __init__(self, message: str, reason: str | None) -> None:
        super().__init__(message)
        self.reason = reason


class Subject(NamedTuple):
    """A decider: its words, its stream of records, its settings, and its function.

    `changeable`: the settings that its records hold, with the names that the records have for them.
    `begins`: beginnings of the names of its own settings. `unknowable`: what later decisions would have found
    otherwise. `stream`: of its records, or of those of its shadow. `sparse`: not every entry there has one.
    """

    decisions: str
    allow: str
    deny: str
    unknowable: str
    begins: tuple[str, ...]
    changeable: Mapping[str, str]
    stream: Callable[[Keys, bool], str]
    again: Callable[[bytes, Mapping[str, object]], ReplayedRecord]
    sparse: bool = False
