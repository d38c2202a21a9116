"""Answers intents, and turns each answer into what is written for it."""

from __future__ import annotations

import msgspec

from actors.intent_bridge.cases import CaseMaking
from actors.intent_bridge.rules import BridgeActorRules
from brain.decisions.dead_letter import dead_letter
from brain.identifiers import Symbol
from brain.intents.answer import ENTRY, Answer
from brain.intents.case import IntentCase
from brain.intents.deciding import deadline_ms, decide, only_reduces, refuse, refuse_malformed
from brain.intents.intent import Intent, Lane, MalformedIntent
from brain.intents.reasons import IntentReason
from brain.intents.record import audit_fields, recorded_rules
from brain.moment import Moment
from brain.text_fields import text_fields
from store.bridge_records import BridgeBasis, BridgeState, IntentCommit
from store.bridge_values import entry_mark
from store.records import Entry

MOST_ATTEMPTS = 5


class PendingIntent(msgspec.Struct, eq=False):
    """An intent on its way to a written answer.

    `failed`: answering it has raised so often that it is refused without another attempt. `duplicate`: there
    is a plan of it, by its publisher's id.
    """

    entry: Entry
    read: Intent | MalformedIntent
    failed: int = 0
    attempts: int = 0
    duplicate: bool = False

    @property
    def symbol(self) -> Symbol | None:
        """Return the symbol, None where it cannot be read."""
        return self.read.symbol

    @property
    def may_enter(self) -> Symbol | None:
        """Return the symbol of an intent that may open something: its answer rests on Redis's state."""
        return self.read.symbol if isinstance(self.read, Intent) and not self.read.closes else None


class Proposal(msgspec.Struct, frozen=True):
    """An intent with its answer, and what is written for it."""

    pending: PendingIntent
    answer: Answer
    commit: IntentCommit


class IntentAnswers:
    """Part of a lane: each proposal rests on the state with the closes of those before it."""

    def __init__(self, lane: Lane, cases: CaseMaking, rules: BridgeActorRules) -> None:
        self._lane = lane
        self._cases = cases
        self._rules = rules
        self._recorded_rules = recorded_rules(rules.rules)
        self._mark_ttl_ms = rules.mark_ttl_sec * 1000
        self._close_ttl_ms = round(rules.rules.min_hold_sec * 1000)

    def propose(
        self,
        pending: PendingIntent,
        state: BridgeState,
        closes: dict[Symbol, bytes | None],
        now: Moment,
        now_ms: int,
    ) -> Proposal:
        """Answer an intent at `now`, `now_ms` by Redis's clock; note a close in `closes`, the state's."""
        read, entry = pending.read, pending.entry
        answer, case = self._answer(pending, state._replace(last_closes=closes), now, now_ms)
        basis, closed_ms = None, 0
        enters = pending.may_enter
        if enters is not None and case is not None and _rests_on_rules(answer, case):
            basis = BridgeBasis(state.mode, closes.get(enters))
        if read.symbol is not None and answer.closes and self._close_ttl_ms:
            closed_ms = now_ms
            closes[read.symbol] = str(now_ms).encode()
        plan = answer.plan
        # Only closes can have the id of another's plan: by its publisher, or by entries of one millisecond.
        may_repeat = isinstance(read, Intent) and read.closes
        fields = entry.fields or {}
        commit = IntentCommit(
            entry_id=entry.id,
            symbol=read.symbol,
            mark=entry_mark(self._lane, entry.id),
            plan_mark=answer.plan_id if may_repeat else "",
            mark_ttl_ms=self._mark_ttl_ms,
            basis=basis,
            deadline_ms=deadline_ms(case) if plan and case is not None else 0,
            plan=tuple(text for field in plan.items() for text in field),
            audit=audit_fields(
                answer,
                case,
                entry_id=entry.id,
                lane=self._lane,
                symbol=read.symbol or "",
                decided_ms=now_ms,
                issued_by=self._rules.issued_by,
                fields=text_fields(fields),
                rules=self._recorded_rules,
                shadow=self._rules.shadow,
            ),
            closed_ms=closed_ms,
            close_ttl_ms=self._close_ttl_ms,
            dead_fields=(
                dead_letter(fields, entry_id=entry.id, error="evaluation_failed") if pending.failed else ()
            ),
        )
        return Proposal(pending, answer, commit)

    def _answer(
        self, pending: PendingIntent, state: BridgeState, now: Moment, now_ms: int
    ) -> tuple[Answer, IntentCase | None]:
        read = pending.read
        if pending.failed:
            return refuse(read, IntentReason.EVALUATION_FAILED, {"failures": pending.failed}), None
        if isinstance(read, MalformedIntent):
            return refuse_malformed(read), None
        if pending.duplicate:
            named = read.publisher_id or read.entry_id
            return refuse(read, IntentReason.DUPLICATE_INTENT, {"intent_id": named}), None
        if pending.attempts >= MOST_ATTEMPTS:
            return refuse(read, IntentReason.STATE_CONTENDED, {"attempts": pending.attempts}), None
        case = self._cases.case(read, pending.entry.published_ms, state, now, now_ms)
        return decide(case), case


def _rests_on_rules(answer: Answer, case: IntentCase) -> bool:
    """Return True for an answer to an order that may open something; what a cap makes a reduction did so."""
    return answer.eval_type == ENTRY or (bool(answer.plan) and not only_reduces(case))
