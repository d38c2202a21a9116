"""What the evaluator believes Redis holds of each symbol. The commit script finds out whether it is so."""

from __future__ import annotations

import msgspec

from brain.booking import decode_open_permit
from brain.permit import OpenPermit
from store.records import Assumed, SymbolState

_MOST_SYMBOLS = 5_000
_NO_SUCH_STATE = -1


class Belief(msgspec.Struct):
    """A symbol's state as last seen, and as our own decisions since have changed it.

    `told`: Redis said so, at some time; else it is only assumed that nothing is stored. `results_settled`:
    how many results of the symbol this process had settled by then.
    """

    state: SymbolState
    permits: dict[str, OpenPermit]
    version: str | None
    told: bool = False
    results_settled: int = 0

    @property
    def has_no_ledger(self) -> bool:
        """Whether Redis said that the symbol has no ledger."""
        return self.told and self.state.ledger.last_known_amt is None

    def live_permits(self, now_ms: int) -> tuple[OpenPermit, ...]:
        """The open permits that have not expired by `now_ms` (Redis's clock)."""
        return tuple([permit for permit in self.permits.values() if permit.expires_ms > now_ms])

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
    """

    def __init__(self) -> None:
        self._beliefs: dict[str, Belief] = {}

    def of(self, symbol: str) -> Belief:
        """The belief about `symbol`."""
        belief = self._beliefs.get(symbol)
        if belief is None:
            if len(self._beliefs) >= _MOST_SYMBOLS:
                self._beliefs.clear()
            belief = self._beliefs[symbol] = Belief(SymbolState(), {}, None)
        return belief

    def told(self, symbol: str, state: SymbolState, results_settled: int) -> None:
        """Redis said what it holds of `symbol`, when so many of its results were settled.

        Raises UnreadableRecordError.
        """
        permits = {plan_id: decode_open_permit(plan_id, text) for plan_id, text in state.permits}
        self._beliefs[symbol] = Belief(state, permits, state.permits_version, True, results_settled)

    def reserved(self, permit: OpenPermit, symbol: str, version: str) -> None:
        """Our decision makes `permit` one of the open permits, then of `version`, if its commit succeeds."""
        belief = self.of(symbol)
        belief.permits[permit.plan_id] = permit
        belief.version = version

    def forget(self, symbol: str) -> None:
        """Nothing is known of `symbol` any more."""
        self._beliefs.pop(symbol, None)
