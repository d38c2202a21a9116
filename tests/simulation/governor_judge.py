"""Invariants (g1), (g2), (g4) and (g5): every judgement of the Governor, in the moment of its writing."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, TypeVar

import msgspec

from tests.simulation.books import Published
from tests.simulation.governor_books import OPENS, GovernorGrant, GovernorKept
from tests.simulation.governor_limits import GovernorLimits
from tests.simulation.governor_look import GovernorLook, Switched, day_of, decision_of, permit_key
from tests.simulation.governor_scores import GovernorScores
from tests.simulation.kill_book import UPDATE_SL, closes_by_name, is_unreadable
from tests.simulation.verdicts import require

if TYPE_CHECKING:
    from tests.simulation.governor_side import GovernorSide

T = TypeVar("T")
_EXECUTE = "EXECUTE"
#: Redis's clock may be a while ahead of the moment at which a permit was dated (ms).
_DATED_WITHIN_MS = 8_000
#: By our mark prices, which lag (a share of the notional).
_MARKS_LAG = Decimal("0.04")
#: The reasons that may refuse a close, by the rule's number.
_STOPS_CLOSES = {
    "malformed_plan", "plan_expired", "eval_type_mismatch", "trading_halted", "kill_score_exit",
}  # fmt: skip


class Batch(msgspec.Struct):
    """Content of Redis in the moment before a batch of judgements."""

    switched: Switched
    marked: dict[str, bool]
    permits: dict[str, bytes | None]
    audit: tuple[int, int]
    events: tuple[int, int]
    disarms: bool = False


class GovernorJudge:
    """Looks at every judgement, and keeps the books by what it sees."""

    def __init__(self, side: GovernorSide, look: GovernorLook) -> None:
        self.reasons: dict[str, int] = {}
        self.granted = 0
        self._side = side
        self._look = look
        self._limits = GovernorLimits(side, look)
        self.scores = GovernorScores(side, look)

    @property
    def _kept(self) -> GovernorKept:
        return self._side.kept

    def judged(self, writer: str, entries: Sequence[tuple[str, str]], effect: Callable[[], T]) -> T:
        """Judge a batch (entry and plan ids in order), which `effect` is to write."""
        look, keys = self._look, self._look.keys
        plan_ids = list(dict.fromkeys(plan_id for _, plan_id in entries))
        before = Batch(
            look.switches(),
            look.marks(plan_ids),
            look.permits(plan_ids),
            look.last_id(keys.audit),
            look.last_id(keys.events),
        )
        answer = effect()
        marked, permits = look.marks(plan_ids), look.permits(plan_ids)
        audits = self._audits(before)
        self._judge_events(before)
        for entry_id, plan_id in entries:
            if before.marked[plan_id]:
                same = not self._side.acts or permits[plan_id] in (None, before.permits[plan_id])
                require(same, "g1", f"{plan_id} was decided, and has another permit: {permits[plan_id]!r}")
                require(plan_id not in audits, "g1", f"{plan_id} was decided, and is judged again")
            elif marked[plan_id]:
                before.marked[plan_id] = True
                self._judge_one(writer, entry_id, plan_id, audits.pop(plan_id, None), permits, before)
            else:
                unmarked = self._side.acts and permits[plan_id] is not None
                require(not unmarked, "g1", f"{plan_id} has a permit, and no mark")
        require(not audits, "g1", f"judged, and not marked: {list(audits)}")
        self.scores.compare()
        return answer

    def _audits(self, before: Batch) -> dict[str, dict[str, str]]:
        found: dict[str, dict[str, str]] = {}
        for _, fields in self._look.behind(self._look.keys.audit, before.audit):
            if "granted" not in fields:
                continue
            require(fields["plan_id"] not in found, "g1", f"{fields['plan_id']} is judged twice at once")
            found[fields["plan_id"]] = fields
        return found

    def _judge_events(self, before: Batch) -> None:
        """Check that an auto-disarm is the first of its UTC day, and lets nothing be opened."""
        now_ms = self._side.now_ms()
        for _, fields in self._look.behind(self._look.keys.events, before.events):
            self._side.note_event(fields)
            if fields["event"] == "KILL_STATS_RESET":
                self.scores.reset(fields)
            if fields["event"] != "AUTO_DISARM":
                continue
            before.disarms, day = True, day_of(now_ms)
            require(day not in self._kept.disarmed, "g2", f"a second auto-disarm on {day}: {fields}")
            self._kept.disarmed.add(day)
            if self._side.acts:
                state = self._look.text("quantum:governor:trading_state")
                require(state not in (None, b"ACTIVE"), "g2", f"disarmed, and the trading state is {state!r}")

    def _judge_one(
        self,
        writer: str,
        entry_id: str,
        plan_id: str,
        audit: dict[str, str] | None,
        permits: dict[str, bytes | None],
        before: Batch,
    ) -> None:
        side, plan = self._side, self._side.books.published[plan_id]
        if decision_of(plan) != _EXECUTE:
            require(audit is None, "g1", f"{plan_id} needs no Governor, and is judged: {audit}")
            unneeded = side.acts and permits[plan_id] is not None
            require(not unneeded, "g1", f"{plan_id} needs no Governor, and has a permit")
            self.scores.observe(plan, entry_id, None)
            return
        require(audit is not None, "g1", f"{plan_id} is marked without a judgement")
        assert audit is not None
        again = plan_id in self._kept.judged and plan_id not in self._kept.unmarked
        require(not again, "g1", f"{plan_id} is judged twice, now {audit['reason']}")
        granted, reason = audit["granted"] == "true", audit["reason"]
        side.trace.note(f"{writer} governs {plan_id} {reason} {audit['kill_z']} {audit['z_cutoff']}")
        self._kept.judged[plan_id] = granted
        self.reasons[reason] = self.reasons.get(reason, 0) + 1
        require(not (granted and before.switched.halted), "g2", f"{plan_id} is granted while halted")
        self._judge_kind(plan, audit)
        self.scores.judge(plan, entry_id, audit)
        permit = self._permit(plan_id, permits[plan_id], granted=granted)
        if granted:
            self.granted += 1
            self._judge_grant(plan, entry_id, audit, permit, before.switched)
        else:
            self._judge_refusal(plan, audit, before)
        side.waiting.judged(writer, plan, granted=granted, reason=reason)

    def _permit(self, plan_id: str, text: bytes | None, *, granted: bool) -> dict[str, object]:
        """Return the permit of a judgement; in the shadow there is none, and its audit has to do."""
        if not self._side.acts:
            return {}
        permit = json.loads(text, parse_float=Decimal, parse_int=Decimal) if text is not None else {}
        if not granted:
            require(permit.get("granted") is not True, "g1", f"{plan_id} is refused, and has {text!r}")
            return permit
        require(permit.get("granted") is True, "g1", f"{plan_id} is granted, and its permit is {text!r}")
        ttl_ms = self._side.redis.pttl(permit_key(plan_id))
        require(0 < ttl_ms <= self._side.permit_ttl_ms, "g1", f"{plan_id}: its permit lives {ttl_ms} ms")
        return permit

    def _judge_kind(self, plan: Published, audit: dict[str, str]) -> None:
        """Check by the plan's words, and by all positions that it may rest on, what it was taken for."""
        kind, fields = audit["kind"], plan.fields
        if not kind or plan.unsound:
            return
        if closes_by_name(fields):
            expected = "none" if fields.get("action") == UPDATE_SL else "close"
            require(kind == expected, "g4", f"{plan.plan_id} is a {expected}, and taken for {kind}: {fields}")
            require(audit["eval_type"] == "EXIT", "g5", f"{plan.plan_id} closes, and counts as an entry")
            return
        away, along = self._limits.directions(plan)
        entry = audit["eval_type"] == "ENTRY"
        require(entry is (kind in OPENS), "g5", f"{plan.plan_id}: {kind}, and {audit['eval_type']}")
        fits = away if kind == "close" else along or kind == "open"
        require(fits, "g4", f"{plan.plan_id} is taken for {kind}, which it was not: {fields}")

    def _judge_grant(
        self,
        plan: Published,
        entry_id: str,
        audit: dict[str, str],
        permit: dict[str, object],
        switched: Switched,
    ) -> None:
        kind, side = audit["kind"], self._side
        right = plan.wants and not plan.expired and not (plan.unsound and kind in OPENS)
        require(right, "g2", f"{plan.plan_id} is granted: {plan.fields}")
        self._limits.judge_age(plan, entry_id, opens=kind in OPENS)
        grant = self._as_granted(plan, audit, permit)
        if kind in OPENS:
            self._limits.judge_open(plan, audit, grant, switched)
        if kind != "none":
            self._kept.grants[plan.plan_id] = grant
            side.trace.note(f"granted by the governor {plan.plan_id} {kind} {grant.notional}")

    def _as_granted(self, plan: Published, audit: dict[str, str], permit: dict[str, object]) -> GovernorGrant:
        """Return the grant as the permit says it, and compare with the plan's quantity and the mark price."""
        side, plan_id = self._side, plan.plan_id
        said = permit or side.recorded(audit)
        quantity, notional = Decimal(str(said["computed_qty"])), Decimal(str(said["computed_notional"]))
        now_ms = side.now_ms()
        granted_ms = round(Decimal(audit["decided_ms"]))
        off_ms = abs(now_ms - granted_ms)
        require(
            off_ms <= _DATED_WITHIN_MS or side.clock_stepped(), "g1", f"{plan_id} was decided {off_ms} ms ago"
        )
        if audit["kind"] in OPENS:
            wanted = Decimal(plan.fields["qty"])
            require(quantity == wanted, "g2", f"{plan_id}: {quantity} is granted of {wanted}")
            true_notional = wanted * side.venue.mark_price(plan.symbol)
            near = abs(notional - true_notional) <= _MARKS_LAG * true_notional
            require(near, "g2", f"{plan_id}: its notional is {notional}, by the mark price {true_notional}")
        stored = self._look.reserved().get(plan_id, {}).get("mark")
        price = notional / quantity if quantity else Decimal(str(stored or 0))
        ends_ms = granted_ms + side.grant_lives_ms
        return GovernorGrant(
            plan_id,
            plan.symbol,
            audit["kind"],
            notional,
            price,
            granted_ms,
            ends_ms,
            day_of(granted_ms),
        )

    def _judge_refusal(self, plan: Published, audit: dict[str, str], before: Batch) -> None:
        reason, fields, switched = audit["reason"], plan.fields, before.switched
        if reason == "trading_halted":
            require(switched.halted, "g4", f"{plan.plan_id}: halted, and the state is {switched.state!r}")
        if reason == "malformed_plan" and not plan.unsound:
            entry = not closes_by_name(fields) and is_unreadable(fields)
            require(entry, "g4", f"{plan.plan_id} is taken for malformed: {fields}")
        if reason == "eval_type_mismatch" and not plan.unsound:
            contradicts = fields.get("eval_type") in ("ENTRY", "EXIT")
            require(contradicts, "g4", f"{plan.plan_id} has no eval_type that contradicts: {fields}")
        if reason == "kill_score_exit":
            self.scores.judge_exit_block(plan, audit)
        if plan.unsound:
            return
        if audit["kind"] in OPENS:
            if not before.disarms:
                self._limits.judge_refusal(plan, audit, switched)
        elif not self._side.is_disturbed() or reason not in ("state_contended", "evaluation_failed"):
            require(reason in _STOPS_CLOSES, "g4", f"{plan.plan_id} closes, and is {reason}")
