"""Intents as the page shows them: what became of the latest ones, and counts."""

from __future__ import annotations

import msgspec

from page.tone import Tone


class AnsweredIntent(msgspec.Struct, frozen=True, kw_only=True):
    """Answer to one intent: `outcome` is `plan` or the reason of a refusal. `lag_ms` is None if unknown."""

    at_ms: int
    stream: str
    symbol: str
    outcome: str
    tone: Tone
    order: str
    plan_id: str
    lag_ms: int | None


class Intents(msgspec.Struct, frozen=True, kw_only=True):
    """The intent bridge: its state in words, counts by outcome, and the latest answers, newest first."""

    state: str
    tone: Tone
    doing: str
    outcomes: tuple[tuple[str, int], ...]
    recent: tuple[AnsweredIntent, ...]
