"""Invariant (r7): a close is proposed for what others have added alone, no more of it, and one at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, TypeVar

import msgspec

from brain.reconciliation.closing import CLOSE_COOLDOWN_SEC
from simulator.history import PositionSide
from store.reconcile_records import CloseProposal
from tests.simulation.books import Published
from tests.simulation.clocks import true_ms
from tests.simulation.reconcile_look import HoldSeen
from tests.simulation.reconcile_truth import BELIEVED_MS
from tests.simulation.venue import ZERO
from tests.simulation.verdicts import require

if TYPE_CHECKING:
    from tests.simulation.reconcile_side import ReconcileSide

T = TypeVar("T")
_COOLDOWN_MS = CLOSE_COOLDOWN_SEC * 1000


class Proposed(msgspec.Struct, frozen=True):
    """A proposal's moment, by true time (ms), and its signature."""

    at_ms: int
    signature: str


class ReconcileCloses:
    """Looks at every proposal in the moment in which it is published, and lets others execute it."""

    def __init__(self, side: ReconcileSide) -> None:
        self.count = 0
        self._side = side
        self._latest: dict[str, Proposed] = {}
        #: When Redis last lost marks of closes, by true time (ms).
        self._lost_ms = 0

    @property
    def are_on(self) -> bool:
        """Return whether closes may be proposed at all."""
        return self._side.acts and self._side.text("P34_CLOSE") == "excess"

    def evicted(self, keys: list[str]) -> None:
        """Note what Redis has lost."""
        if any(key.startswith(f"{self._side.look.keys.base}:close:") for key in keys):
            self._lost_ms = true_ms()

    def judge(self, writer: str, proposal: CloseProposal, effect: Callable[[], bool]) -> bool:
        """Judge a proposal that `effect` is to publish."""
        side, symbol = self._side, proposal.symbol
        plans = side.look.last_id(side.world.keys.plans)
        hold = side.look.hold(symbol)
        written = effect()
        published = side.look.behind(side.world.keys.plans, plans)
        if not written:
            require(not published, "r7", f"{writer} proposed nothing for {symbol}, and published {published}")
            return written
        require(len(published) == 1, "r7", f"{writer} proposed a close of {symbol}: {published}")
        entry_id, fields = published[0]
        self.count += 1
        side.trace.note(f"{writer} proposes {fields['side']} {fields['qty']} {symbol}")
        self._judge_hold(proposal, hold)
        self._judge_repeated(symbol, fields["signature"])
        leg: PositionSide = fields.get("positionSide", "BOTH")  # type: ignore[assignment]
        self._judge_quantity(symbol, leg, fields)
        self._hand_over(symbol, entry_id, fields)
        return written

    def _judge_hold(self, proposal: CloseProposal, hold: HoldSeen | None) -> None:
        ours = hold is not None and hold.is_ours and (hold.sig or b"").decode() == proposal.sig
        require(self.are_on, "r7", f"{proposal.symbol}: a close is proposed, and that is off")
        require(ours, "r7", f"{proposal.symbol}: a close is proposed, and its hold is {hold}")

    def _judge_repeated(self, symbol: str, signature: str) -> None:
        """Check that no other close of the symbol was proposed a moment ago: both may be executed."""
        now_ms, before = true_ms(), self._latest.get(symbol)
        self._latest[symbol] = Proposed(now_ms, signature)
        if before is None or self._are_marks_lost(before.at_ms):
            return
        ago_ms = now_ms - before.at_ms
        says = f"{symbol}: a close for {signature} is proposed {ago_ms} ms after one for {before.signature}"
        require(ago_ms >= _COOLDOWN_MS, "r7", says)

    def _are_marks_lost(self, since_ms: int) -> bool:
        """Return whether Redis has lost a mark since then, or ended it early: its clock was set."""
        world = self._side.world
        restarted = world.decisions.redis_truly_changed_ms >= since_ms
        stepped = len(world.redis_clock.offsets_since(since_ms)) > 1
        return restarted or stepped or self._lost_ms >= since_ms

    def _judge_quantity(self, symbol: str, leg: PositionSide, fields: Mapping[str, str]) -> None:
        """Check it against what others have added to the leg, at each moment of late."""
        side, quantity = self._side, Decimal(fields["qty"])
        ledger = side.world.ledgers.amount(symbol, leg) or ZERO
        sells = fields["side"] == "SELL"
        most, most_held = ZERO, ZERO
        for held, own in side.truth.held_with_own(symbol, leg, true_ms() - BELIEVED_MS):
            most_held = max(most_held, _excess(held, ledger, sells=sells))
            most = max(most, _excess(held - own, ledger, sells=sells))
        says = f"{symbol} {leg}: {fields['side']} {quantity} is proposed, ledger {ledger}"
        require(ZERO < quantity <= most_held, "r7", f"{says}, and the excess is {most_held}")
        # What others had undone before an agreement that is forgotten is none of the engine's evidence.
        known = symbol not in side.truth.forgotten
        require(
            not known or quantity <= most, "r7", f"{says}, and without our own fills the excess is {most}"
        )

    def _hand_over(self, symbol: str, entry_id: str, fields: Mapping[str, str]) -> None:
        """Enter the plan into the books, as one that its publisher has written."""
        world = self._side.world
        own = {name: text for name, text in fields.items() if name != "plan_id"}
        plan = Published(
            fields["plan_id"], symbol, own, wants=True, expired=False, unsound=False, entry_ids=[]
        )
        world.neighbours.publisher.enter(plan, entry_id)
        world.neighbours.hand_over(plan)


def _excess(held: Decimal, ledger: Decimal, *, sells: bool) -> Decimal:
    """Return by how much a position exceeds the ledger on its own side; 0 where an order would add to it."""
    if (held > 0) is not sells or held * ledger < 0:
        return ZERO
    return max(abs(held) - abs(ledger), ZERO)
