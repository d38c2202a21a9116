"""Rules of the reconcile engine as an actor, which its settings give."""

from __future__ import annotations

import msgspec

from brain.identifiers import Symbol
from brain.reconciliation.rules import ReconcileRules
from settings.secret import Secret


class ReconcileActorRules(msgspec.Struct, frozen=True, kw_only=True):
    """Rules of its decisions, with its other settings.

    `symbols`: those that are compared, empty for all. `take_over`: work beside another reconcile engine, too.
    `close_stream`: where closes are proposed.
    `close_secret`: of their HMAC.
    """

    rules: ReconcileRules
    shadow: bool
    take_over: bool
    symbols: frozenset[Symbol]
    close_stream: str
    close_secret: Secret | None
    key_prefix: str

    @property
    def mode(self) -> str:
        """Return `shadow` or `on`."""
        return "shadow" if self.shadow else "on"

    @property
    def hold_ttl_ms(self) -> int:
        """Life of a hold that is not renewed (ms)."""
        return round(self.rules.hold_ttl_sec * 1000)
