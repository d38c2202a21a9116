"""Texts that are written for a judgement: permit, block, audit record, events."""

from __future__ import annotations

import hmac
from decimal import Decimal

import msgspec

from actors.governor.plans import GovernedPlan
from actors.governor.rules import GovernorActorRules
from brain.decisions.dead_letter import dead_letter
from brain.decisions.permit_text import with_signature
from brain.governor.case import GovernorCase
from brain.governor.grants import epoch_sec
from brain.governor.judgement import Judgement
from brain.governor.permit_text import block_json, permit_json
from brain.governor.record import audit_fields, recorded_rules
from brain.identifiers import Symbol
from brain.numbers import plain
from brain.text_fields import text_fields
from store.governor_records import Disarm

_JSON = msgspec.json.Encoder()


class JudgementTexts:
    """Formats what others read of a judgement. In the shadow there is no permit and no block."""

    def __init__(self, rules: GovernorActorRules) -> None:
        self._rules = rules
        self._recorded_rules = recorded_rules(rules.rules)

    def permit(
        self, governed: GovernedPlan, judgement: Judgement, case: GovernorCase | None, now_ms: int
    ) -> str:
        """Return the permit of a grant, that of a denial where those are written, else nothing.

        With a signing key it ends with its signature: HMAC-SHA256 over the exact text before it.
        """
        own = self._rules
        if own.shadow or not (judgement.granted or own.deny_permits):
            return ""
        permit = permit_json(
            judgement,
            case,
            plan_id=governed.plan_id,
            symbol=governed.symbol,
            created_at_sec=now_ms / 1000,
            issued_by=own.issued_by,
            key_prefix=None if own.signing_key is None else own.key_prefix,
        )
        if own.signing_key is not None:
            key = own.signing_key.reveal().encode()
            permit = with_signature(permit, hmac.digest(key, permit, "sha256").hex())
        return permit.decode()

    def block(
        self, governed: GovernedPlan, judgement: Judgement, case: GovernorCase | None, now_ms: int
    ) -> str:
        """Return the block of a refusal."""
        if judgement.granted or self._rules.shadow:
            return ""
        return block_json(
            judgement,
            case,
            plan_id=governed.plan_id,
            symbol=governed.symbol,
            created_at_sec=now_ms / 1000,
            issued_by=self._rules.issued_by,
        ).decode()

    def audit(
        self, governed: GovernedPlan, judgement: Judgement, case: GovernorCase | None, now_ms: int
    ) -> tuple[str, ...]:
        """Return the fields of the audit record. A case has all that was read of the plan."""
        return audit_fields(
            judgement,
            case,
            plan_id=governed.plan_id,
            symbol=governed.symbol,
            entry_id=governed.entry.id,
            decided_ms=now_ms,
            issued_by=self._rules.issued_by,
            fields=text_fields(governed.fields) if case is None else None,
            rules=self._recorded_rules,
            shadow=self._rules.shadow,
        )


def disarm_of(judgement: Judgement, governed: GovernedPlan) -> Disarm | None:
    """Return the auto-disarm of a judgement, with the numbers compared as its context."""
    if not judgement.disarms:
        return None
    numbers = {
        name: plain(value) if isinstance(value, Decimal) else value
        for name, value in judgement.disarm_details.items()
    }
    context = {"plan_id": governed.plan_id, "symbol": governed.symbol, **numbers}
    return Disarm(judgement.disarms, _JSON.encode(context).decode())


def dead_fields(governed: GovernedPlan) -> tuple[str, ...]:
    """Return the dead letter of a plan whose judgement has failed too often."""
    if not governed.failed:
        return ()
    return dead_letter(governed.fields, entry_id=governed.entry.id, error="evaluation_failed")


def stats_reset(symbol: Symbol, observed_as: str, now_ms: int) -> tuple[str, ...]:
    """Return the event of statistics that are started anew because they could not be read."""
    context = _JSON.encode({"symbol": symbol, "eval_type": observed_as}).decode()
    return event("KILL_STATS_RESET", "unreadable", context, now_ms, "statistics start anew")


def event(name: str, reason: str, context: str, now_ms: int, action_taken: str) -> tuple[str, ...]:
    """Return the fields of an entry of `governor.events`."""
    return (
        "event", name,
        "reason", reason,
        "context", context,
        "timestamp", plain(epoch_sec(now_ms)),
        "action_taken", action_taken,
    )  # fmt: skip
