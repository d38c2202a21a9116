"""State of the intent bridge, for those who show it."""

from __future__ import annotations

import msgspec

from brain.identifiers import EntryId, PlanId, Symbol


class IntentOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """Answer to one intent.

    `stream`: without the key prefix. `symbol` is None where it cannot be read. `reason` is empty for a plan,
    `plan_id` for an intent that cannot be read. `side`, `quantity` and `action` are the plan's. `at_ms`:
    Redis's clock. `lag_ms`: from the intent's entry to its answer, None where its age is unknown.
    """

    entry_id: EntryId
    stream: str
    symbol: Symbol | None
    plan_id: PlanId
    reason: str
    eval_type: str
    side: str
    quantity: str
    action: str
    at_ms: int
    lag_ms: int | None


class BridgeNow(msgspec.Struct, frozen=True, kw_only=True):
    """The intent bridge as it is. `outcomes`: answers since the start, by outcome (`plan` or a reason).

    `streams`: those that are read, without the key prefix. `recent`: the latest answers, newest first.
    `lockdown` is None until an entry was answered.
    """

    streams: tuple[str, ...]
    outcomes: tuple[tuple[str, int], ...]
    recent: tuple[IntentOutcome, ...]
    lockdown: bool | None
