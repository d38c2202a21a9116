"""Invariant (g5): the kill score of each judgement, recomputed from the plans in the order of the stream."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from brain.governor.record import read_record, recorded_judgement
from store.memory.streams import parse_id
from tests.simulation.books import Published
from tests.simulation.governor_look import GovernorLook
from tests.simulation.kill_book import Observed, closes_by_name, first, score_of
from tests.simulation.verdicts import require

if TYPE_CHECKING:
    from tests.simulation.governor_side import GovernorSide

_TYPES = ("entry", "exit")
_FIELDS = ("n", "mean", "var", "ts")
#: From a judgement to its being written, at most, where the block of an exit ends (ms).
_WRITTEN_WITHIN_MS = 1_500
#: Of the age of an observation (seconds).
_LATE_SEC = 2.0
#: The width of the cut-off's range for rounding.
_ROUNDING = 1e-9


class GovernorScores:
    """Keeps the statistics a second time, and compares."""

    def __init__(self, side: GovernorSide, look: GovernorLook) -> None:
        self._side = side
        self._look = look

    def observe(self, plan: Published, entry_id: str, eval_type: str | None) -> float | None:
        """Add the plan's kill score, if it has one that counts; return its z where there is a verdict."""
        score, side = score_of(plan.fields), self._side
        if score is None or plan.symbol not in side.world.scene.symbols:
            return None
        named = "exit" if closes_by_name(plan.fields) else "entry"
        key = plan.symbol, eval_type or named
        before, at_ms = side.kept.observed.get(key), min(side.now_ms(), parse_id(entry_id)[0])
        if before is None:
            side.kept.observed[key] = first(score, at_ms, entry_id)
            return None
        # What an instance has read that lost its lease is found by the next one, behind what came since.
        in_order = before.entry < parse_id(entry_id) or side.is_disturbed()
        require(in_order, "g5", f"{plan.plan_id} ({entry_id}) is observed after {before.entry}")
        after = before.then(score, at_ms, entry_id, side.number("GOV_Z_ALPHA"))
        side.kept.observed[key] = after
        warm = before.n >= side.number("GOV_Z_WARMUP")
        return after.deviation(score) if warm else None

    def judge(self, plan: Published, entry_id: str, audit: dict[str, str]) -> None:
        """Check a judgement's z, and what it was compared with."""
        side, eval_type = self._side, audit["eval_type"].lower()
        if audit["reason"] in ("evaluation_failed", "state_contended"):
            if recorded_judgement(read_record(audit["record"])).stats is not None:
                self.observe(plan, entry_id, eval_type or None)
            return
        if plan.symbol not in side.world.scene.symbols:
            # Before a process knows the symbols of the exchange, it observes all: these are not recomputed.
            return
        before = side.kept.observed.get((plan.symbol, eval_type))
        z = self.observe(plan, entry_id, eval_type or None)
        recorded = audit["kill_z"]
        if self._may_be_unknown():
            self._note_block(plan, audit, eval_type)
            return
        longest_sec = side.number("GOV_Z_MAX_AGE_SEC")
        age_sec = 0.0 if before is None else (side.now_ms() - before.ts_ms) / 1000
        if recorded:
            require(z is not None, "g5", f"{plan.plan_id}: z is {recorded}, and too little was observed")
            require(float(recorded) == z, "g5", f"{plan.plan_id}: z is {recorded}, recomputed {z}")
            fresh = age_sec <= longest_sec + _LATE_SEC or side.clock_stepped()
            require(fresh, "g5", f"{plan.plan_id}: z is {recorded}, {age_sec} s after the last observation")
        elif z is not None and audit["reason"] != "malformed_plan":
            # An id ahead of Redis's clock may be dated any time before its arrival.
            ahead = before is not None and before.entry[0] > before.ts_ms
            old = ahead or age_sec > longest_sec - _LATE_SEC
            require(old or side.clock_stepped(), "g5", f"{plan.plan_id}: z is {z}, and the audit has none")
        if audit["z_cutoff"]:
            self._judge_cutoff(plan, eval_type, float(audit["z_cutoff"]))
        if recorded and audit["z_cutoff"]:
            over = self._is_over(audit)
            let_go = eval_type == "exit" and self._is_let_go(plan.symbol)
            granted = audit["granted"] == "true"
            says = f"{plan.plan_id}: z {recorded}, cut-off {audit['z_cutoff']}"
            require(not (granted and over) or let_go, "g5", f"{says}, and granted")
            gated = audit["reason"] in ("kill_score_entry", "kill_score_exit")
            require(not gated or over, "g5", f"{says}, and {audit['reason']}")
        self._note_block(plan, audit, eval_type)

    def _judge_cutoff(self, plan: Published, eval_type: str, cutoff: float) -> None:
        """Check the cut-off against the range that heat and drawdown leave it."""
        number, kind = self._side.number, eval_type.upper()
        judged = self._side.text(f"GOV_Z_{kind}_BASE") != "off"
        require(judged, "g5", f"{plan.plan_id}: an {eval_type} has the cut-off {cutoff}, and must have none")
        base = number(f"GOV_Z_{kind}_BASE")
        heat, drawdown = number(f"GOV_Z_{kind}_HEAT"), number(f"GOV_Z_{kind}_DRAWDOWN")
        least = base + min(0.0, heat) - max(0.0, drawdown) - _ROUNDING
        most = base + max(0.0, heat) - min(0.0, drawdown) + _ROUNDING
        require(least <= cutoff <= most, "g5", f"{plan.plan_id}: the cut-off is {cutoff}")

    def _note_block(self, plan: Published, audit: dict[str, str], eval_type: str) -> None:
        """Keep since when exits of the symbol are blocked by their score without another verdict."""
        blocked = self._side.kept.blocked_since_ms
        if audit["reason"] == "kill_score_exit":
            blocked.setdefault(plan.symbol, self._side.now_ms())
        elif eval_type == "exit" and audit["granted"] == "true" and not self._is_over(audit):
            blocked.pop(plan.symbol, None)

    @staticmethod
    def _is_over(audit: dict[str, str]) -> bool:
        recorded, cutoff = audit["kill_z"], audit["z_cutoff"]
        return bool(recorded and cutoff) and float(recorded) > float(cutoff)

    def _is_let_go(self, symbol: str) -> bool:
        since_ms = self._side.kept.blocked_since_ms.get(symbol)
        if since_ms is None:
            return False
        blocked_ms = self._side.now_ms() - since_ms
        longest_ms = self._side.number("GOV_EXIT_BLOCK_MAX_SEC") * 1000
        return blocked_ms >= longest_ms - _WRITTEN_WITHIN_MS or self._side.clock_stepped()

    def judge_exit_block(self, plan: Published, audit: dict[str, str]) -> None:
        """Check that an exit is blocked by a verdict alone, and not for longer than configured."""
        require(self._side.text("GOV_Z_EXIT_BASE") != "off", "g4", f"{plan.plan_id}: exits have no cut-off")
        require(audit["kill_z"], "g4", f"{plan.plan_id} is blocked as an exit without a z")
        since_ms = self._side.kept.blocked_since_ms.get(plan.symbol, self._side.now_ms())
        blocked_ms = self._side.now_ms() - since_ms
        longest_ms = self._side.number("GOV_EXIT_BLOCK_MAX_SEC") * 1000 + _WRITTEN_WITHIN_MS
        within = blocked_ms <= longest_ms or self._side.clock_stepped()
        require(within, "g4", f"{plan.plan_id}: exits of {plan.symbol} are blocked for {blocked_ms} ms")

    def reset(self, fields: dict[str, str]) -> None:
        """Start anew what could not be read; the fault that made it so has said that."""
        require(self._side.garbled, "g5", f"statistics are started anew, and were readable: {fields}")

    def _may_be_unknown(self) -> bool:
        """Return whether a symbol's row of exchangeInfo may not be readable, so that nothing is observed."""
        odd = bool(self._side.venue.odd_symbols)
        return odd or trio.current_time() < self._side.equity.odd_until_sec

    def compare(self) -> None:
        """Compare with what Redis has."""
        for (symbol, eval_type), observed in list(self._side.kept.observed.items()):
            stored = self._side.redis.hgetall(self._look.keys.stats(symbol))
            names = (f"{eval_type}_{name}".encode() for name in _FIELDS[:3])
            texts = [stored.get(name, b"").decode() for name in names]
            if self._may_be_unknown():
                try:
                    observed.n, observed.mean, observed.var = int(texts[0]), float(texts[1]), float(texts[2])
                except ValueError:
                    # None, or what could not be read before and was not observed anew.
                    del self._side.kept.observed[symbol, eval_type]
                continue
            expected = [observed.n, observed.mean, observed.var]
            same = all(text and float(text) == number for text, number in zip(texts, expected, strict=True))
            require(same, "g5", f"{symbol} {eval_type}: stored {texts}, recomputed {expected}")

    def forget(self, symbol: str) -> None:
        """Let go of a symbol's statistics, which Redis has lost."""
        for eval_type in _TYPES:
            self._side.kept.observed.pop((symbol, eval_type), None)
        self._side.kept.blocked_since_ms.pop(symbol, None)

    def known(self, symbol: str, eval_type: str) -> Observed | None:
        """Return the statistics."""
        return self._side.kept.observed.get((symbol, eval_type))
