"""Stream of plans, results or intents with a role's group on it."""

from __future__ import annotations

from typing import NamedTuple


class PlanStream(NamedTuple):
    """Stream of plans, results or intents, as a role reads it.

    `last_id` is the STRING of the last entry that was dealt with and had none pending before it; empty where
    none is kept.
    """

    key: str
    dead: str
    group: str
    last_id: str
