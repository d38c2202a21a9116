"""Comparison of the decisions of a shadow with those of the service that acts, by what that has left.

Each of the other's answers rests on a proof (it has said so, or could not have acted otherwise), on an
absence (it would have left a trace, and there is none), or it is unknown and does not count.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from enum import StrEnum

import msgspec


class Basis(StrEnum):
    """Foundation of the other's answer."""

    PROOF = "proof"
    ABSENCE = "absence"
    UNKNOWN = "unknown"


class Side(msgspec.Struct, frozen=True):
    """An answer: yes or no, with its reason."""

    yes: bool
    reason: str


class Theirs(msgspec.Struct, frozen=True):
    """The answer of the service that acts: `side` is None where it is unknown.

    `seen_in` names the trace, of an unknown answer why it is unknown.
    """

    basis: Basis
    side: Side | None
    seen_in: str


def proven(yes: bool, reason: str, seen_in: str) -> Theirs:
    """Return an answer that a trace proves."""
    return Theirs(Basis.PROOF, Side(yes, reason), seen_in)


def by_absence(yes: bool, reason: str, seen_in: str) -> Theirs:
    """Return an answer that is read from a missing trace."""
    return Theirs(Basis.ABSENCE, Side(yes, reason), seen_in)


def unknown(why: str) -> Theirs:
    """Return the answer of which nothing is known."""
    return Theirs(Basis.UNKNOWN, None, why)


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """One decision of both. `id` names it: a plan, an intent, a symbol. `at`: of ours, or theirs without it.

    `note`: what else differs, such as a quantity. It counts as a difference.
    """

    id: str
    symbol: str
    at: str
    ours: Side
    theirs: Theirs
    note: str = ""

    @property
    def agrees(self) -> bool:
        """True if both have decided the same."""
        return self.theirs.side is not None and self.theirs.side.yes == self.ours.yes and not self.note


class Kind(msgspec.Struct, frozen=True):
    """A kind of difference: both answers, and the number of decisions."""

    ours: Side
    theirs: Side
    decisions: int


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """The result. `agreement_pct` is None where nothing could be compared.

    `agree` and `differ` count by basis; `unknown` by why. `differences` has each of them, `kinds` their
    counts.
    """

    role: str
    decisions: int
    compared: int
    agreement_pct: float | None
    agree: dict[str, int]
    differ: dict[str, int]
    unknown: dict[str, int]
    kinds: list[Kind]
    differences: list[Pair]
    notes: list[str]

    @property
    def same(self) -> bool:
        """True if something was compared, and all of it agrees."""
        return bool(self.compared) and not self.differences


def compared(role: str, pairs: Iterable[Pair], notes: Iterable[str] = ()) -> Comparison:
    """Count pairs; their order is kept."""
    agree: Counter[str] = Counter({Basis.PROOF.value: 0, Basis.ABSENCE.value: 0})
    differ, not_known = agree.copy(), Counter[str]()
    kinds: Counter[tuple[Side, Side]] = Counter()
    differences: list[Pair] = []
    decisions = 0
    for each in pairs:
        decisions += 1
        if each.theirs.side is None:
            not_known[each.theirs.seen_in] += 1
        elif each.agrees:
            agree[each.theirs.basis.value] += 1
        else:
            differ[each.theirs.basis.value] += 1
            kinds[each.ours, each.theirs.side] += 1
            differences.append(each)
    total = agree.total() + differ.total()
    return Comparison(
        role=role,
        decisions=decisions,
        compared=total,
        agreement_pct=round(100 * agree.total() / total, 2) if total else None,
        agree=dict(agree),
        differ=dict(differ),
        unknown=dict(not_known.most_common()),
        kinds=[Kind(ours, theirs, number) for (ours, theirs), number in kinds.most_common()],
        differences=differences,
        notes=list(notes),
    )
