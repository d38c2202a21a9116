"""Invariant (g4): closes are answered within 100 ms whenever Redis answers, whatever else is down."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import trio

from tests.simulation.books import Published
from tests.simulation.governor_look import decision_of
from tests.simulation.kill_book import closes_by_name
from tests.simulation.verdicts import require

if TYPE_CHECKING:
    from tests.simulation.governor_side import GovernorSide

_WITHIN_SEC = 0.1
#: From the end of a fault until a process holds the lease again and has read what was left (seconds).
_AFTERMATH_SEC = 25.0
#: What strikes others than Redis, the processes, and their way to it.
HARMLESS = frozenset(
    {
        "slow_rest", "failing_rest", "hanging_rest", "too_many_requests", "ban", "stream_close",
        "stream_freeze", "stream_refused", "late_events", "lost_events", "reordered_events",
        "doubled_events", "silent_move", "listen_key_expiry", "wiped_account", "restored_position",
        "event_dated_ahead", "flat_both_row", "deleted_key", "accept_and_close", "maintenance",
        "v2_removed", "exchange_clock", "unknown_outcomes", "flapping", "odd_positions", "odd_marks",
        "ban_without_header", "forbidden", "lost_orders", "wrong_answers", "too_many_orders",
        "used_order_limit", "hidden_orders", "slow_fills", "trading_state", "kill_switch",
        "failing_account", "gain_or_loss", "transfer", "churn", "risk_guard", "budget", "efficiency",
        "unreadable_stats", "lost_results", "trimmed_results", "orphan_orders", "outside_trade", "two_causes",
        "undone_fill",
        "failing_history", "refused_history", "lagging_history", "hand_correction", "foreign_hold",
        "released_hold", "reconcile_calls", "lockdown", "intents_again", "intelligence_calls",
        "halted_symbol",
    }
)  # fmt: skip


class Waiting(msgspec.Struct):
    """A close that was published. `delayed_sec`: by process, what its way to Redis had taken until then."""

    since_sec: float
    delayed_sec: dict[str, float]


class WaitingCloses:
    """Measures from the publication of a close to its judgement."""

    def __init__(self, side: GovernorSide) -> None:
        self.longest_sec = 0.0
        self.measured = 0
        self._side = side
        self._waiting: dict[str, Waiting] = {}
        self._busy: dict[str, int] = {}
        self._disturbed_sec = 0.0

    # Faults.

    def began(self, kind: str) -> None:
        """Note that a fault strikes."""
        if kind not in HARMLESS:
            self._busy[kind] = self._busy.get(kind, 0) + 1

    def ended(self, kind: str) -> None:
        """Note that it is over."""
        if kind not in HARMLESS:
            self._busy[kind] -= 1
            self._disturbed_sec = trio.current_time() + _AFTERMATH_SEC

    def disturbed_sec(self) -> float:
        """Return until when (trio's clock) an answer may take longer."""
        return trio.current_time() if any(self._busy.values()) else self._disturbed_sec

    # Plans.

    def published(self, plan: Published) -> None:
        """Begin to measure, at a plan's first publication."""
        sound = plan.wants and not plan.unsound
        if not (sound and decision_of(plan) == "EXECUTE") or len(plan.entry_ids) > 1:
            return
        self._waiting[plan.plan_id] = Waiting(trio.current_time(), self._delays())

    def _delays(self) -> dict[str, float]:
        processes = self._side.world.processes.items()
        return {name: each.store.delayed_sec for name, each in processes if each.store is not None}

    def judged(self, writer: str, plan: Published, *, granted: bool, reason: str) -> None:
        """Compare the time that it took with what a close may wait."""
        waiting = self._waiting.pop(plan.plan_id, None)
        if waiting is None or not closes_by_name(plan.fields):
            return
        if waiting.since_sec <= self.disturbed_sec():
            return
        delayed_sec = self._delays().get(writer, 0.0) - waiting.delayed_sec.get(writer, 0.0)
        waited_sec = trio.current_time() - waiting.since_sec - delayed_sec
        self.measured += 1
        self.longest_sec = max(self.longest_sec, waited_sec)
        verdict = "granted" if granted else reason
        require(waited_sec <= _WITHIN_SEC, "g4", f"{plan.plan_id} closes, {verdict} after {waited_sec:.3f} s")

    def all_is_judged(self) -> None:
        """Raises ViolationError unless all that was published and is still in the stream is judged."""
        side, waiting = self._side, list(self._waiting)
        self._waiting.clear()
        stream = side.world.keys.plans
        left = [
            plan_id
            for plan_id in waiting
            if plan_id not in side.kept.judged
            and any(
                side.world.in_stream(stream, each)
                # Redis gives an id that it has lost again.
                and side.books.plan_of_entry[each] == plan_id
                for each in side.books.published[plan_id].entry_ids
            )
        ]
        require(not left, "g1", f"without a judgement: {left[:5]}")
