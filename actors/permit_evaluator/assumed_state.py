"""What the evaluator believes Redis holds of each symbol. The commit script finds out whether it is so."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress

import msgspec

from brain.ledger.booking import UnreadableRecordError, decode_open_permit
from brain.plans.permit import OpenPermit
from store.records import Assumed, SymbolState

_MOST_SYMBOLS = 5_000
_NO_SUCH_STATE = -1


class Belief(msgspec.Struct):
    """A symbol's state as last seen, and as our own decisions since have changed it.

    `told`: Redis said so, at some time; else it is only assumed that nothing is stored. `results_settled`:
    how many results of the symbol this process had settled by then. `unanswered`: by plan, the entry whose
    commit has not been answered, so that its reservation may not be stored. `lost`: reservations that Redis
    has lost with their key; they cover their quantity until they expire or their plan's result ends them.
    """

    state: SymbolState
    permits: dict[str, OpenPermit]
    version: str | None
    told: bool = False
    results_settled: int = 0
    unanswered: dict[str, str] = msgspec.field(default_factory=dict)
    lost: dict[str, OpenPermit] = msgspec.field(default_factory=dict)

    @property
    def has_no_ledger(self) -> bool:
        """Whether Redis said that the symbol has no ledger."""
        return self.told and self.state.ledger.last_known_amt is None

    def live_permits(self, now_ms: int) -> tuple[OpenPermit, ...]:
        """The stored open permits that have not expired by `now_ms` (Redis's clock)."""
        return tuple([permit for permit in self.permits.values() if permit.expires_ms > now_ms])

    def lost_permits(self, now_ms: int, ended: Callable[[str], bool]) -> tuple[OpenPermit, ...]:
        """The lost open permits that have not expired by `now_ms`, and whose plans have not `ended`."""
        if not self.lost:
            return ()
        self.lost = {
            plan_id: permit
            for plan_id, permit in self.lost.items()
            if permit.expires_ms > now_ms and not ended(plan_id)
        }
        return tuple([permit for plan_id, permit in self.lost.items() if plan_id not in self.unanswered])

    def assumed(self, live_permits: int, *, settled: bool) -> Assumed:
        """What a decision that counted `live_permits` open permits rests on; `settled` is the plan's."""
        ledger = self.state.ledger
        return Assumed(
            self.state.hold,
            self.state.cooldown,
            ledger.last_known_amt,
            ledger.last_order_id,
            ledger.last_order_time_epoch,
            ledger.long_amt,
            ledger.short_amt,
            self.version,
            live_permits,
            settled,
        )

    def question(self, *, settled: bool) -> Assumed:
        """What no stored state is like: a commit resting on it writes nothing, and tells what is stored."""
        return self.assumed(_NO_SUCH_STATE, settled=settled)


def is_question(assumed: Assumed | None) -> bool:
    """Return True if a commit that rests on `assumed` asks, and decides nothing."""
    return assumed is not None and assumed.live_permits == _NO_SUCH_STATE


class SymbolBeliefs:
    """Beliefs by symbol. Where there is none, nothing is believed to be stored, and the commit corrects that.

    So a decision costs no read: a wrong belief costs one more round trip, never a wrong permit.

    The key that holds a symbol's open permits outlives them. So where Redis has no such key and this process
    knows of permits that are still open, the key was evicted or deleted: those are kept as lost.
    """

    def __init__(self) -> None:
        self._beliefs: dict[str, Belief] = {}

    def of(self, symbol: str) -> Belief:
        """The belief about `symbol`."""
        belief = self._beliefs.get(symbol)
        if belief is None:
            if len(self._beliefs) >= _MOST_SYMBOLS:
                self._beliefs = {
                    name: each for name, each in self._beliefs.items() if each.permits or each.lost
                }
            belief = self._beliefs[symbol] = Belief(SymbolState(), {}, None)
        return belief

    def told(self, symbol: str, state: SymbolState, results_settled: int) -> None:
        """Redis said what it holds of `symbol`, when so many of its results were settled.

        Raises UnreadableRecordError.
        """
        permits = {plan_id: decode_open_permit(plan_id, text) for plan_id, text in state.permits}
        known = self.of(symbol)
        belief = Belief(state, permits, state.permits_version, True, results_settled, lost=known.lost)
        if state.permits_version is None and not permits:
            belief.lost = known.lost | known.permits
            belief.unanswered = known.unanswered
        self._beliefs[symbol] = belief

    def reserved(self, permit: OpenPermit, symbol: str, entry_id: str, version: str) -> None:
        """Our decision makes `permit` one of the open permits, then of `version`, if its commit succeeds."""
        belief = self.of(symbol)
        belief.permits[permit.plan_id] = permit
        belief.unanswered[permit.plan_id] = entry_id
        belief.version = version

    def committed(self, symbol: str, plan_id: str) -> None:
        """The commit that reserved for `plan_id` has succeeded."""
        self.of(symbol).unanswered.pop(plan_id, None)

    def not_committed(self, symbol: str, plan_id: str, entry_id: str) -> None:
        """A commit for `entry_id` has not succeeded: it failed, or the entry was delivered again."""
        belief = self.of(symbol)
        if belief.unanswered.get(plan_id) == entry_id:
            del belief.unanswered[plan_id]
            belief.permits.pop(plan_id, None)
            belief.lost.pop(plan_id, None)

    def all_answered(self) -> None:
        """What was not committed has been delivered again: the commits that were not answered succeeded."""
        for belief in self._beliefs.values():
            belief.unanswered.clear()

    def begin(self, stored: Mapping[str, SymbolState]) -> None:
        """Know of the open permits that are `stored`, and of those that are lost: others may have decided."""
        known, self._beliefs = self._beliefs, {}
        for symbol, belief in known.items():
            if belief.permits or belief.lost:
                self._beliefs[symbol] = belief
                self.told(symbol, stored.get(symbol, SymbolState()), 0)
        for symbol, state in stored.items():
            with suppress(UnreadableRecordError):  # every commit for the symbol finds that out
                self.told(symbol, state, 0)
        for belief in self._beliefs.values():
            belief.told = False
