"""Counts of replayed decisions, with a few examples of differences."""

from __future__ import annotations

from collections import Counter

from commands.replay.subject import Answer, NotReplayedError, ReplayedRecord

_MOST_EXAMPLES = 10


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
        self.examples: list[ReplayedRecord] = []

    def take(self, replayed: ReplayedRecord) -> None:
        """Count a replayed decision."""
        self.replayed += 1
        again = replayed.again
        if again.same_answer if self._changed_settings else again.identical:
            return
        self.differing += 1
        answers = replayed.before, replayed.after
        self.answers[answers] += 1
        # A few of each kind of change, not many of the first kind.
        if self.answers[answers] <= 2 and len(self.examples) < _MOST_EXAMPLES:
            self.examples.append(replayed)

    def refused(self, error: NotReplayedError, audit_id: str) -> None:
        """Count a record, of entry `audit_id`, that cannot be decided again."""
        if error.reason is not None:
            self.not_replayable[error.reason] += 1
            return
        self.unreadable += 1
        if self.first_unreadable is None:
            self.first_unreadable = f"{audit_id}: {error}"

    @property
    def records(self) -> int:
        """The number of records that were read."""
        return self.replayed + self.not_replayable.total() + self.unreadable
