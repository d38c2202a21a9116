"""Content of the pages that find decisions, plans and symbols. Moments are epoch milliseconds."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from explanation.sections import Row, Sections
from page.permit_content import PermitRow


class ListedDecision(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of an audit stream. `answer` is `allow`, `deny` or empty; `latency_ms` None: not known."""

    audit_id: str
    at_ms: int
    plan_id: str
    symbol: str
    answer: str
    reason: str
    latency_ms: int | None
    source: str


class SortLink(msgspec.Struct, frozen=True):
    """A column that the list can be sorted by; `direction` is empty for another column than the present."""

    label: str
    link: str
    direction: str


class DecisionList(msgspec.Struct, frozen=True, kw_only=True):
    """A page of decisions. `form` has the filter as texts, `problem` why there is none.

    `back_to_ms` is how far back the list reaches while older entries are still being read; None at their end.
    `current` is False where the newest entries could not be read in time. `newest` leads to the list of now,
    from a page of one that stays as it was.
    """

    form: Mapping[str, str]
    roles: tuple[str, ...]
    problem: str = ""
    total: int = 0
    held: int = 0
    back_to_ms: int | None = None
    current: bool = True
    page: int = 1
    pages: int = 1
    rows: tuple[ListedDecision, ...] = ()
    sorts: tuple[SortLink, ...] = ()
    previous: str = ""
    next: str = ""
    newest: str = ""
    csv: str = ""
    json: str = ""
    again: bool = False


class Candidate(msgspec.Struct, frozen=True):
    """Something that a text may name: its kind, its name, its page, and how the text names it."""

    kind: str
    name: str
    link: str
    hint: str = ""


class Candidates(msgspec.Struct, frozen=True, kw_only=True):
    """What a text may name; `notes` say what could not be looked at."""

    text: str
    found: tuple[Candidate, ...] = ()
    notes: tuple[str, ...] = ()


class PlanPage(msgspec.Struct, frozen=True, kw_only=True):
    """The page of a plan; `explained` is None where there is no trace of it, or Redis could not be read."""

    plan_id: str
    unread: bool = False
    explained: Sections | None = None
    notes: tuple[str, ...] = ()


class SymbolPage(msgspec.Struct, frozen=True, kw_only=True):
    """The page of a symbol, in sections of rows; `ages` are seconds by minute, oldest first.

    `held` is None where that could not be read; `by_operator`: the hold is an operator's.
    """

    symbol: str
    position: tuple[Row, ...]
    ledger: tuple[Row, ...]
    restrictions: tuple[Row, ...]
    permits: tuple[PermitRow, ...]
    permits_left_out: int
    permits_unread: bool
    ages: tuple[float | None, ...]
    decisions: tuple[ListedDecision, ...]
    all_decisions: str
    held: bool | None
    by_operator: bool
    notes: tuple[str, ...] = ()
