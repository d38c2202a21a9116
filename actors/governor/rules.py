"""Rules of the Governor as an actor, which its settings give."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from brain.governor.rules import GovernorRules
from settings.secret import Secret


class GovernorActorRules(msgspec.Struct, frozen=True, kw_only=True):
    """Rules of its judgements, with its other settings.

    `deny_permits`: a refusal is written as a permit that grants nothing, too. `issued_by`: build tag and
    instance. `external_heat`: the heat of `capital:heat` counts. What reduces a symbol by more than
    `max_reduce_notional` (USDT) or `max_reduce_quantity` (contracts) a day is reported; None: never.
    """

    rules: GovernorRules
    shadow: bool
    issued_by: str
    key_prefix: str
    signing_key: Secret | None
    deny_permits: bool
    equity_sec: float
    stale_threshold_sec: float
    external_heat: bool
    max_reduce_notional: Decimal | None
    max_reduce_quantity: Decimal | None
    take_over: bool

    @property
    def mode(self) -> str:
        """Return `shadow` or `on`."""
        return "shadow" if self.shadow else "on"

    @property
    def grant_life_ms(self) -> int:
        """Life of a grant without any word on it (ms)."""
        return round((self.rules.permit_ttl_sec + self.rules.execution_grace_sec) * 1000)

    @property
    def permit_ttl_ms(self) -> int:
        """Life of a permit (ms)."""
        return round(self.rules.permit_ttl_sec * 1000)

    @property
    def mark_ttl_ms(self) -> int:
        """Life of a plan's mark (ms)."""
        return round((self.rules.permit_ttl_sec + self.rules.decision_ttl_sec) * 1000)
