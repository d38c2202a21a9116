"""Counts of replayed decisions, with a few examples of differences."""

from __future__ import annotations

from collections import Counter

import msgspec

from brain.decisions.permit_text import NotReplayableError
from brain.decisions.replaying import Replayed
from brain.identifiers import PlanId

_MOST_EXAMPLES = 10


class Answer(msgspec.Struct, frozen=True):
    """An answer to a plan: allow or deny, with the reason."""

    allow: bool
    reason: str


class Example(msgspec.Struct, frozen=True):
    """One decision that differs; `differences` are name, recorded and new value."""

    plan_id: PlanId
    symbol: str | None
    before: Answer
    after: Answer
    differences: tuple[tuple[str, object, object], ...]


class ReplayTally:
    """Counters of replayed decisions.

    `changed_settings`: the answers count, not the numbers that explain them, which hold the settings.
    """

    def __init__(self, *, changed_settings: bool) -> None:
        self._changed_settings = changed_settings
        self.replayed = 0
        self.differing = 0
        self.answers: Counter[tuple[Answer, Answer]] = Counter()
        self.not_replayable: Counter[str] = Counter()
        self.unreadable = 0
        self.first_unreadable: str | None = None
        self.examples: list[Example] = []

    def take(self, replayed: Replayed) -> None:
        """Count a replayed decision."""
        self.replayed += 1
        if replayed.same_answer if self._changed_settings else replayed.identical:
            return
        self.differing += 1
        recorded, decided = replayed.recorded, replayed.decided
        before = Answer(recorded.allow, recorded.reason.value)
        after = Answer(decided.allow, decided.reason.value)
        self.answers[before, after] += 1
        # A few of each kind of change, not many of the first kind.
        if self.answers[before, after] <= 2 and len(self.examples) < _MOST_EXAMPLES:
            audit = replayed.audit
            differences = tuple(replayed.differences())
            self.examples.append(Example(audit.plan_id, audit.symbol, before, after, differences))

    def refused(self, error: NotReplayableError, audit_id: str) -> None:
        """Count a record, of entry `audit_id`, that cannot be decided again."""
        if error.reason is not None:
            self.not_replayable[error.reason.value] += 1
            return
        self.unreadable += 1
        if self.first_unreadable is None:
            self.first_unreadable = f"{audit_id}: {error}"

    @property
    def records(self) -> int:
        """The number of records that were read."""
        return self.replayed + self.not_replayable.total() + self.unreadable
