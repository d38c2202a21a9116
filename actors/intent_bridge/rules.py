"""Rules of the intent bridge as an actor, which its settings give."""

from __future__ import annotations

import msgspec

from brain.intents.case import BridgeRules
from brain.intents.intent import Lane


class BridgeActorRules(msgspec.Struct, frozen=True, kw_only=True):
    """Rules of its answers, with its other settings.

    `lanes`: the streams that are read. `mark_ttl_sec`: how long an intent counts as answered. `issued_by`:
    build tag and instance. `take_over`: go on beside another bridge.
    """

    rules: BridgeRules
    lanes: tuple[Lane, ...]
    shadow: bool
    issued_by: str
    mark_ttl_sec: int
    stale_threshold_sec: float
    take_over: bool = False

    @property
    def mode(self) -> str:
        """Return `shadow` or `on`."""
        return "shadow" if self.shadow else "on"
