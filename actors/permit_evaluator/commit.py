"""Turns a decision into what is written for it: permit, mark, reservation, audit record."""

from __future__ import annotations

import hmac

from brain.decisions.answer import Answer
from brain.decisions.case import Rules
from brain.decisions.facts import Facts
from brain.decisions.permit_text import audit_record, permit_json, with_signature
from brain.identifiers import Symbol
from brain.ledger.plan_mark import PlanMark, encode_mark
from brain.numbers import ZERO, plain
from brain.plans.permit import Decision, Kind, OpenPermit
from brain.plans.plan import PlanDecision
from brain.text_fields import text_fields
from settings import Secret
from store.records import Assumed, DecisionCommit

_NO_KIND, _RECONCILE_CLOSE = Kind.NONE, PlanDecision.RECONCILE_CLOSE


class DecisionWriter:
    """Formats permits, marks, reservations and audit records. `issued_by`: build tag and instance.

    With a `signing_key`, permits end with their signature: HMAC-SHA256 over the exact text before it, which
    names the account's `key_prefix`.
    """

    def __init__(
        self,
        rules: Rules,
        issued_by: str,
        signing_key: Secret | None = None,
        *,
        key_prefix: str = "quantum",
    ) -> None:
        self._permit_ttl_ms = round(rules.permit_ttl_sec * 1000)
        self._reservation_life_ms = round((rules.permit_ttl_sec + rules.execution_grace_sec) * 1000)
        self._mark_ttl_ms = round((rules.permit_ttl_sec + rules.decision_ttl_sec) * 1000)
        self._issued_by = issued_by
        self._signing_key = signing_key
        self._key_prefix = key_prefix

    def commit(
        self,
        answer: Answer,
        *,
        assumed: Assumed | None,
        deadline_ms: int,
        created_at_sec: float,
        dead_fields: tuple[str, ...] = (),
        proposal: str = "",
        not_before_ms: int = 0,
        facts: Facts | None = None,
    ) -> DecisionCommit:
        """Return the commit of `answer`; `DecisionCommit` explains `proposal` and `not_before_ms`.

        `created_at_sec` is Redis's clock (epoch seconds), never ahead of it: gates compare with that.
        `facts`: derived when the answer's case was decided.
        """
        decision, case = answer.decision, answer.case
        permit = permit_json(
            decision,
            case,
            plan_id=answer.plan_id,
            symbol=answer.symbol,
            created_at_sec=created_at_sec,
            issued_by=self._issued_by,
            key_prefix=None if self._signing_key is None else self._key_prefix,
            facts=facts,
        )
        record = audit_record(
            decision,
            case,
            plan_id=answer.plan_id,
            symbol=answer.symbol,
            issued_by=self._issued_by,
            fields=text_fields(answer.fields),
            permit=permit,
        )
        mark = PlanMark(
            leg=decision.leg,
            kind=decision.kind,
            order_side=decision.order_side,
            reconcile_close=case is not None and case.plan.decision is _RECONCILE_CLOSE,
        )
        return DecisionCommit(
            entry_id=answer.entry_id,
            plan_id=answer.plan_id,
            symbol=answer.symbol or Symbol(""),
            assumed=assumed,
            deadline_ms=deadline_ms,
            mark=encode_mark(mark),
            mark_ttl_ms=self._mark_ttl_ms,
            permit=self._signed(permit).decode(),
            permit_ttl_ms=self._permit_ttl_ms,
            reservation=_reservation(decision),
            reservation_life_ms=self._reservation_life_ms,
            audit_fields=(
                "plan_id", answer.plan_id,
                "symbol", answer.symbol or "",
                "allow", "true" if decision.allow else "false",
                "reason", decision.reason,
                "entry_id", answer.entry_id,
                "record", record.decode(),
            ),
            dead_fields=dead_fields,
            proposal=proposal,
            not_before_ms=not_before_ms,
        )  # fmt: skip

    def reserved(self, answer: Answer, now_ms: int) -> OpenPermit | None:
        """Return the open permit that the commit of `answer` at `now_ms` (Redis's clock) creates, if any."""
        decision = answer.decision
        if not _reserves(decision):
            return None
        return OpenPermit(
            answer.plan_id,
            decision.leg,
            decision.kind,
            decision.order_side or "",
            decision.reserve,
            now_ms + self._reservation_life_ms,
        )

    def _signed(self, permit: bytes) -> bytes:
        if self._signing_key is None:
            return permit
        key = self._signing_key.reveal().encode()
        return with_signature(permit, hmac.digest(key, permit, "sha256").hex())


def _reserves(decision: Decision) -> bool:
    return decision.allow and decision.kind is not _NO_KIND and decision.reserve > ZERO


def _reservation(decision: Decision) -> str:
    if not _reserves(decision):
        return ""
    return "|".join((decision.leg, decision.kind, decision.order_side or "", plain(decision.reserve)))
