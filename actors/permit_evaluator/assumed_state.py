"""The state that the evaluator assumes Redis to hold of each symbol. The commit script verifies it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress

import msgspec

from brain.identifiers import EntryId, PlanId, Symbol
from brain.ledger.booking import decode_open_permit
from brain.ledger.order_memory import UnreadableRecordError
from brain.plans.permit import OpenPermit
from store.records import Assumed, SymbolState

_MOST_SYMBOLS = 5_000
_NO_SUCH_STATE = -1


class AssumedState(msgspec.Struct):
    """A symbol's state as last read, with the changes of our own decisions since.

    `from_redis`: it was read from Redis; else nothing is assumed to be stored. `results_finished`: the number
    of the symbol's results that this process had finished by then. `unanswered`: by plan, the entry whose
    commit has not been answered, so that its reservation may not be stored. `lost`: reservations that Redis
    has lost with their key; they cover their quantity until they expire or their plan's result ends them.
    """

    state: SymbolState
    permits: dict[PlanId, OpenPermit]
    version: str | None
    from_redis: bool = False
    results_finished: int = 0
    unanswered: dict[PlanId, EntryId] = msgspec.field(default_factory=dict)
    lost: dict[PlanId, OpenPermit] = msgspec.field(default_factory=dict)

    @property
    def has_no_ledger(self) -> bool:
        """True when Redis was read and holds no ledger of the symbol."""
        return self.from_redis and self.state.ledger.last_known_amt is None

    def live_permits(self, now_ms: int) -> tuple[OpenPermit, ...]:
        """Return the stored open permits that have not expired by `now_ms` (Redis's clock)."""
        return tuple([permit for permit in self.permits.values() if permit.expires_ms > now_ms])

    def lost_permits(self, now_ms: int, ended: Callable[[PlanId], bool]) -> tuple[OpenPermit, ...]:
        """Return the lost open permits that have not expired by `now_ms`, of plans that have not `ended`."""
        if not self.lost:
            return ()
        self.lost = {
            plan_id: permit
            for plan_id, permit in self.lost.items()
            if permit.expires_ms > now_ms and not ended(plan_id)
        }
        return tuple([permit for plan_id, permit in self.lost.items() if plan_id not in self.unanswered])

    def basis(self, live_permits: int, *, settled: bool) -> Assumed:
        """Return the basis of a decision that counted `live_permits`; `settled` is the plan's."""
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
        """Return a basis that equals no stored state: a commit on it only returns the state."""
        return self.basis(_NO_SUCH_STATE, settled=settled)


def is_question(assumed: Assumed | None) -> bool:
    """Return True if a commit on `assumed` only reads the state."""
    return assumed is not None and assumed.live_permits == _NO_SUCH_STATE


class AssumedStates:
    """Assumed states by symbol; of a new symbol, that nothing is stored.

    A decision costs no read: a wrong assumption costs one more round trip, never a wrong permit.

    The key that holds a symbol's open permits outlives them. So where Redis has no such key and this process
    holds permits that are still open, the key was evicted or deleted: those are kept as lost.
    """

    def __init__(self) -> None:
        self._states: dict[str, AssumedState] = {}

    def of(self, symbol: str) -> AssumedState:
        """Return the assumed state of `symbol`."""
        assumed = self._states.get(symbol)
        if assumed is None:
            if len(self._states) >= _MOST_SYMBOLS:
                self._states = {
                    name: each for name, each in self._states.items() if each.permits or each.lost
                }
            assumed = self._states[symbol] = AssumedState(SymbolState(), {}, None)
        return assumed

    def learn(self, symbol: str, state: SymbolState, results_finished: int) -> None:
        """Take in the state that Redis holds of `symbol`, and how many of its results were finished then.

        Raises UnreadableRecordError.
        """
        permits = {plan_id: decode_open_permit(plan_id, text) for plan_id, text in state.permits}
        known = self.of(symbol)
        assumed = AssumedState(state, permits, state.permits_version, True, results_finished, lost=known.lost)
        if state.permits_version is None and not permits:
            assumed.lost = known.lost | known.permits
            assumed.unanswered = known.unanswered
        self._states[symbol] = assumed

    def reserved(self, permit: OpenPermit, symbol: Symbol, entry_id: EntryId, version: str) -> None:
        """Add the open permit of a decision whose commit is sent; they then have `version`."""
        assumed = self.of(symbol)
        assumed.permits[permit.plan_id] = permit
        assumed.unanswered[permit.plan_id] = entry_id
        assumed.version = version

    def committed(self, symbol: Symbol, plan_id: PlanId) -> None:
        """Confirm the reservation for `plan_id`: its commit has succeeded."""
        self.of(symbol).unanswered.pop(plan_id, None)

    def not_committed(self, symbol: Symbol, plan_id: PlanId, entry_id: EntryId) -> None:
        """Drop the reservation of `entry_id`: its commit failed, or the entry was delivered again."""
        assumed = self.of(symbol)
        if assumed.unanswered.get(plan_id) == entry_id:
            del assumed.unanswered[plan_id]
            assumed.permits.pop(plan_id, None)
            assumed.lost.pop(plan_id, None)

    def all_answered(self) -> None:
        """Confirm all reservations: entries that were not committed have been delivered again."""
        for assumed in self._states.values():
            assumed.unanswered.clear()

    def begin(self, stored: Mapping[str, SymbolState]) -> None:
        """Begin anew with the `stored` open permits, which others may have made, and those that are lost."""
        known, self._states = self._states, {}
        for symbol, assumed in known.items():
            if assumed.permits or assumed.lost:
                self._states[symbol] = assumed
                self.learn(symbol, stored.get(symbol, SymbolState()), 0)
        for symbol, state in stored.items():
            with suppress(UnreadableRecordError):  # every commit for the symbol finds that out
                self.learn(symbol, state, 0)
        for assumed in self._states.values():
            assumed.from_redis = False
