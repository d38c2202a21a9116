"""Invariants (b1) to (b3): every answer of the bridge, in the moment of its writing."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, TypeVar

import msgspec

from store.bridge_records import IntentCommit
from tests.simulation.books import Intended
from tests.simulation.clocks import true_ms
from tests.simulation.intent_rules import BridgeLimits, Seen, Wanted, fraction, wanted
from tests.simulation.intents import TRADE, Meant
from tests.simulation.verdicts import ViolationError, require

if TYPE_CHECKING:
    from tests.simulation.bridge_side import BridgeSide

T = TypeVar("T")
_MODE = "quantum:system:mode"
#: Of the marks of prices, which lag (a share).
_MARKS_LAG = Fraction(4, 100)
#: What the bridge takes for Redis's clock, at most so far off (ms), unless that was just set.
_CLOCK_WITHIN_MS = 8_000
_REDUCING = {"LONG": "SELL", "SHORT": "BUY"}
#: Refusals that come of how things went, and not of the intent.
_BY_TROUBLE = ("state_contended", "evaluation_failed")


class Before(msgspec.Struct):
    """Content of Redis in the moment before a batch of answers; `closes` follow those of the batch."""

    plans: tuple[int, int]
    audit: tuple[int, int]
    lockdown: bool
    closes: dict[str, bytes | None]


class BridgeJudge:
    """Looks at every answer, and keeps the books by what it sees."""

    def __init__(self, side: BridgeSide, limits: BridgeLimits) -> None:
        self.reasons: dict[str, int] = {}
        self.plans = 0
        self._side = side
        self._limits = limits

    def answered(self, writer: str, lane: str, answers: Sequence[IntentCommit], effect: Callable[[], T]) -> T:
        """Judge a batch of answers, which `effect` is to write."""
        side, look, redis = self._side, self._side.look, self._side.redis
        symbols = dict.fromkeys(each.symbol for each in answers if each.symbol is not None)
        mode = None if redis.kind(_MODE) == "none" else look.text(_MODE)
        lockdown = redis.kind(_MODE) != "none" and (mode is None or mode == b"LOCKDOWN")
        before = Before(
            look.last_id(side.world.keys.plans),
            look.last_id(side.names.audit),
            lockdown,
            {each: look.text(side.names.last_close(each)) for each in symbols},
        )
        reply = side.footprint(lane).around(writer, effect)
        audits = look.behind(side.names.audit, before.audit)
        published = dict(look.behind(side.world.keys.plans, before.plans))
        try:
            for _, audit in audits:
                self._judge(writer, lane, audit, published, before)
        except ViolationError:
            # The other judges know the plans all the same.
            for each, fields in published.items():
                side.adopt(fields["plan_id"], fields["symbol"], fields, each)
            raise
        require(not published, "b1", f"{writer} has published plans of no intent: {published}")
        return reply

    def _judge(
        self,
        writer: str,
        lane: str,
        audit: dict[str, str],
        published: dict[str, dict[str, str]],
        before: Before,
    ) -> None:
        side, entry_id = self._side, audit["entry_id"]
        says = f"{writer} on {lane} {entry_id}: {audit['outcome']} {audit['reason']} {audit['plan_id']}"
        side.trace.note(says)
        intended = side.books.intents.get((lane, entry_id))
        require(intended is not None and audit["stream"] == lane, "b1", f"{says}: nobody's intent")
        assert intended is not None
        self._judge_once(lane, entry_id, says)
        record = json.loads(audit["record"])
        reason, plan = audit["reason"], record["answer"]["plan"]
        require(bool(plan) is (audit["outcome"] == "plan") is (not reason), "b2", f"{says}: {record}")
        name = audit["reason"] or "plan"
        self.reasons[name] = self.reasons.get(name, 0) + 1
        if record["case"] is None:
            self._judge_unread(intended, audit, says)
        else:
            require(not intended.meant.malformed, "b2", f"{says}: taken for well-formed {intended.fields}")
            self._judge_answer(writer, intended, audit, record, before, says)
        plan_id = audit["plan_id"] if plan else ""
        side.kept.answered[lane, entry_id] = plan_id
        if plan:
            self.plans += 1
            self._judge_plan(intended, entry_id, plan, published, says)
            self._judge_close(intended.meant.symbol, plan, before, says)

    def _judge_once(self, lane: str, entry_id: str, says: str) -> None:
        side = self._side
        names, stream = side.names, side.stream(lane)
        mark = entry_id if lane == TRADE else f"{lane}:{entry_id}"
        again = (lane, entry_id) in side.kept.answered and names.seen(mark) not in side.unmarked
        require(not again, "b1", f"{says}: it was answered before")
        left_ms = side.redis.pttl(names.seen(mark))
        require(left_ms > 0, "b1", f"{says}: no mark is left of it")
        pending = side.look.pending(stream.key, stream.group)
        require(entry_id not in pending, "b1", f"{says}: it is not acknowledged")

    def _judge_unread(self, intended: Intended, audit: dict[str, str], says: str) -> None:
        """Judge a refusal that rests on no rule."""
        side, reason = self._side, audit["reason"]
        if reason in _BY_TROUBLE:
            require(side.world.governing.is_disturbed(), "b2", f"{says}: nothing is in its way")
        elif reason == "duplicate_intent":
            known = audit["plan_id"] in side.kept.plans or side.is_marked(audit["plan_id"])
            require(intended.meant.closes and known, "b2", f"{says}: there is no plan of it")
        else:
            right = reason == "malformed_intent" and intended.meant.malformed
            require(right, "b2", f"{says}: it is {intended.fields}")

    def _judge_answer(
        self,
        writer: str,
        intended: Intended,
        audit: dict[str, str],
        record: dict[str, dict[str, object]],
        before: Before,
        says: str,
    ) -> None:
        meant, case, plan = intended.meant, record["case"], record["answer"]["plan"]
        seen = self._seen(writer, intended, case, before, says)
        right = wanted(meant, seen, self._limits)
        require(right.reason == audit["reason"], "b2", f"{says}: it is to be {right} by {seen} of {meant}")
        require(audit["plan_id"] == _plan_id(intended), "b2", f"{says}: another id")
        if right.reason:
            return
        if not self._is_stepped(intended):
            age_sec = (self._side.redis.now_ms() - intended.published_ms) / 1000
            limit_sec = self._limits.max_age_sec if meant.lane == TRADE else 60.0
            require(age_sec <= limit_sec, "b2", f"{says}: published {age_sec} s ago")
        assert isinstance(plan, dict)
        self._judge_fields(intended, right, seen, plan, says)

    def _is_stepped(self, intended: Intended) -> bool:
        """Return whether the age of an intent is more than the difference of two readings of a clock."""
        entry_ms = int(intended.entry_id.partition("-")[0])
        return self._side.world.governing.clock_stepped() or entry_ms > intended.published_ms

    def _seen(
        self,
        writer: str,
        intended: Intended,
        case: dict[str, object],
        before: Before,
        says: str,
    ) -> Seen:
        """Return what the answer rests on, each part of which must have been so."""
        side, symbol = self._side, intended.meant.symbol
        quiet = not side.world.governing.is_disturbed()
        now_ms, published_ms = case["now_ms"], case["published_ms"]
        assert isinstance(now_ms, int)
        stepped = self._is_stepped(intended)
        off_ms = abs(now_ms - side.redis.now_ms())
        require(stepped or off_ms <= _CLOCK_WITHIN_MS, "b2", f"{says}: its clock is {off_ms} ms off")
        dated = stepped or published_ms == intended.published_ms
        require(dated, "b2", f"{says}: published at {intended.published_ms}, not {published_ms}")
        mark = fraction(case["mark_price"])
        if mark is not None:
            true = Fraction(side.world.venue.mark_price(symbol))
            require(abs(mark - true) <= _MARKS_LAG * true, "b2", f"{says}: marked {mark}, it is {true}")
        position = fraction(case["position"])
        hedged = bool(case["hedge_mode"])
        require(hedged is side.world.scene.hedge_mode or position is None, "b2", f"{says}: of another mode")
        if position is not None:
            self._judge_position(intended.meant, position, says)
        steps, known = case["steps"], symbol in side.world.scene.symbols
        require(known or steps is None, "b2", f"{says}: nothing is known of {symbol}")
        odd = not quiet or side.world.governing.equity.odd_until_sec > side.now_sec()
        if known and steps is None:
            require(odd, "b2", f"{says}: {symbol} is not known")
        if isinstance(steps, dict):
            listed = side.world.venue.symbol(symbol)
            same = [fraction(steps["step"]), fraction(steps["least"])] == [
                Fraction(listed.step_size),
                Fraction(listed.min_qty),
            ]
            require(same, "b2", f"{says}: rounded by {steps}")
        in_universe = bool(case["in_universe"])
        publisher = side.world.neighbours.publisher
        if in_universe:
            require(publisher.may_open(symbol), "b2", f"{says}: {symbol} is not in the universe")
        elif not odd and known and not side.world.chain.universe.is_odd(symbol):
            require(not publisher.is_listed(symbol), "b2", f"{says}: {symbol} is in the universe")
        close = before.closes.get(symbol)
        exposure = case.get("exposure")
        exposure = exposure if isinstance(exposure, dict) else {}
        known_steps = isinstance(steps, dict)
        return Seen(
            age_sec=None if published_ms is None else (now_ms - int(str(published_ms))) / 1000,
            mark=mark,
            position=position,
            hedged=hedged,
            step=Fraction(side.world.venue.symbol(symbol).step_size) if known_steps else None,
            least=Fraction(side.world.venue.symbol(symbol).min_qty) if known_steps else None,
            listed=in_universe,
            lockdown=before.lockdown,
            since_close_sec=None if close is None else (now_ms - int(close)) / 1000,
            notional=fraction(exposure.get("notional")),
            equity=fraction(exposure.get("equity")),
        )

    def _judge_position(self, meant: Meant, position: Fraction, says: str) -> None:
        """By true time alone: it was so within the time that it takes to notice what no event announces."""
        side, now_ms = self._side, true_ms()
        leg = (meant.leg or meant.held) if side.world.scene.hedge_mode else "BOTH"
        longest_ms = max(round(side.world.settings.stale_threshold_sec * 1000), side.world.audit_ms())
        held = side.world.venue.amounts_between(meant.symbol, leg, now_ms - longest_ms, now_ms)  # type: ignore[arg-type]
        require(position in held, "b2", f"{says}: {meant.symbol} {leg} was not {position} lately, but {held}")

    def _judge_fields(
        self, intended: Intended, right: Wanted, seen: Seen, plan: dict[str, str], says: str
    ) -> None:
        meant = intended.meant
        side = _REDUCING[meant.held] if meant.held else meant.side
        expected = {
            "plan_id": _plan_id(intended),
            "decision": "EXECUTE",
            "symbol": meant.symbol,
            "side": side,
            "type": "MARKET",
            "reduceOnly": "true" if meant.closes else "false",
            "action": right.action,
            "source": meant.source or "intent_bridge",
            "signature": "intent_bridge",
            "timestamp": str(int(intended.entry_id.partition("-")[0]) // 1000),
            "eval_type": right.eval_type,
            **meant.extras,
        }
        leg = meant.leg or (meant.held if seen.hedged else "")
        if leg:
            expected["positionSide"] = leg
        numbers = {"qty": right.quantity, **right.prices}
        found = {name: text for name, text in plan.items() if name not in numbers}
        require(found == expected, "b2", f"{says}: {found}, to be {expected}")
        counted = {name: fraction(plan.get(name)) for name in numbers}
        require(counted == numbers, "b2", f"{says}: {counted}, to be {numbers} by {seen}")

    def _judge_plan(
        self,
        intended: Intended,
        entry_id: str,
        plan: dict[str, str],
        published: dict[str, dict[str, str]],
        says: str,
    ) -> None:
        """Judge that there is one, and let everybody know of it."""
        side, plan_id = self._side, plan["plan_id"]
        lane = intended.meant.lane
        earlier = side.kept.plans.get(plan_id)
        if earlier != (lane, entry_id):
            again = earlier is not None and side.names.seen(plan_id) not in side.unmarked
            require(not again, "b1", f"{says}: there is a plan of {earlier} already")
        side.kept.plans[plan_id] = lane, entry_id
        of_it = [each for each, fields in published.items() if fields["plan_id"] == plan_id]
        if not side.acts:
            require(not of_it, "b3", f"{says}: published in the shadow")
            return
        require(len(of_it) >= 1, "b1", f"{says}: no plan is published")
        fields = published.pop(of_it[0])
        require(fields == plan, "b2", f"{says}: published is {fields}")
        del fields["plan_id"]
        side.adopt(plan_id, intended.meant.symbol, fields, of_it[0])

    def _judge_close(self, symbol: str, plan: dict[str, str], before: Before, says: str) -> None:
        """Judge that the time of a close is kept, where entries rest on it."""
        side = self._side
        if plan["eval_type"] != "EXIT" or self._limits.min_hold_sec <= 0:
            return
        text = side.look.text(side.names.last_close(symbol))
        require(text is not None, "b2", f"{says}: its close is not kept")
        assert text is not None
        off_ms = abs(int(text) - side.redis.now_ms())
        near = off_ms <= _CLOCK_WITHIN_MS or side.world.governing.clock_stepped()
        require(near, "b2", f"{says}: its close is kept as {text!r}")
        before.closes[symbol] = text


def _plan_id(intended: Intended) -> str:
    meant = intended.meant
    side = meant.side if meant.lane == TRADE else "CLOSE"
    text = f"{meant.publisher_id or intended.entry_id}|{meant.symbol}|{side}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def as_fraction(text: str) -> Fraction:
    """Return a setting that is a number."""
    return Fraction(Decimal(text))
