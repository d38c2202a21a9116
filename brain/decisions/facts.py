"""What the checks of one decision look at, worked out from its case."""

from __future__ import annotations

from decimal import Decimal

from brain.decisions.case import Case
from brain.ledger.ledger import Ledger, UnreadableLedgerError, legs_of, parse_ledger
from brain.numbers import ZERO
from brain.plans.kinds import reducing_side
from brain.plans.permit import Kind, OpenPermit
from brain.plans.plan import PlanDecision, Side
from brain.positions.position import Leg

#: Named once: up to Python 3.11, a look into an enum takes as long as ten others.
_BOTH, _LONG = Leg.BOTH, Leg.LONG
_RECONCILE_CLOSE = PlanDecision.RECONCILE_CLOSE
_SIDE_CLOSE = Side.CLOSE

#: Why a hedge-mode ledger says nothing of a leg.
LEGS_NOT_TOLD = "does not tell its legs"
LEGS_DO_NOT_ADD_UP = "its legs do not add up to last_known_amt"


class Facts:
    """A case, what follows from it, and what the checks have found out so far.

    `leg` is None in hedge mode when the plan does not say which. `amount` is the leg's signed position in
    contracts, None while it is not known. The checks set `kind`; `available`, what open permits leave of
    the position for a close; `quantity`, what the close may close; and `warnings`.
    """

    __slots__ = (
        "_ledger",
        "_live_permits",
        "amount",
        "available",
        "case",
        "hedged",
        "kind",
        "leg",
        "plan",
        "quantity",
        "reconcile_close",
        "warnings",
    )

    def __init__(self, case: Case) -> None:
        self.case = case
        self.plan = plan = case.plan
        self.reconcile_close = plan.decision is _RECONCILE_CLOSE
        rows = () if case.snapshot is None else case.snapshot.legs
        self.hedged = case.hedge_mode is True
        for row in rows:
            if row.leg is not _BOTH:
                self.hedged = True
        self.leg: Leg | None = _BOTH
        if self.hedged:
            self.leg = None if plan.leg is _BOTH else plan.leg
        self.amount: Decimal | None = None
        if case.snapshot is not None and self.leg is not None:
            self.amount = ZERO
            for row in rows:
                if row.leg is self.leg:
                    self.amount = row.amount
        self.kind: Kind | None = None
        self.available = ZERO
        self.quantity = ZERO
        self.warnings: tuple[str, ...] = ()
        self._ledger: Ledger | str | None = None
        self._live_permits: tuple[OpenPermit, ...] | None = None

    @property
    def position(self) -> Decimal:
        """The leg's signed amount, for checks that come after the snapshot's and the leg's."""
        if self.amount is None:
            raise LookupError("no check has found the position yet")
        return self.amount

    @property
    def holds_a_position(self) -> bool:
        """Whether the snapshot, fresh or not, shows a position: on the plan's leg, if it names one."""
        if self.amount is not None:
            return bool(self.amount)
        return self.case.snapshot is not None and any(row.amount != 0 for row in self.case.snapshot.legs)

    @property
    def order_side(self) -> str | None:
        """`BUY` or `SELL`: the plan's, or what closes the position; None when neither is known."""
        side = self.plan.side
        if side is None or side is _SIDE_CLOSE:
            if self.leg is None or self.amount is None or self.plan.action == "UPDATE_SL":
                return None
            side = reducing_side(self.leg, self.amount)
        return None if side is None else str(side)

    @property
    def ledger(self) -> Ledger | str:
        """The ledger, or why there is none to go by."""
        if self._ledger is None:
            try:
                self._ledger = parse_ledger(self.case.ledger) or "missing"
            except UnreadableLedgerError as error:
                self._ledger = f"unreadable: {error}"
        return self._ledger

    @property
    def ledger_amount(self) -> Decimal | str:
        """What the ledger says of the leg, or why it says nothing.

        In hedge mode the legs must add up to `last_known_amt`. After a correction of the sum alone it tells
        the legs only where one leg of the exchange is flat.
        """
        ledger = self.ledger
        if isinstance(ledger, str):
            return ledger
        if self.leg is None:
            return "of which leg is not known"
        if self.leg is _BOTH:
            return ledger.amount
        snapshot = self.case.snapshot
        legs = legs_of(ledger, () if snapshot is None else snapshot.legs)
        if legs is not None:
            return legs.long if self.leg is _LONG else legs.short
        if ledger.long_amount is None or ledger.short_amount is None:
            return LEGS_NOT_TOLD
        return LEGS_DO_NOT_ADD_UP

    @property
    def live_permits(self) -> tuple[OpenPermit, ...]:
        """The open permits on this leg that have not ended by themselves."""
        if self._live_permits is None:
            leg, now_ms = self.leg, self.case.now_ms
            self._live_permits = tuple(
                [
                    permit
                    for permit in self.case.open_permits
                    if permit.leg is leg and permit.expires_ms > now_ms
                ]
            )
        return self._live_permits

    def explained_by_permits(self, difference: Decimal) -> bool:
        """Whether orders that open permits cover could have moved the leg by `difference` (not zero)."""
        order_side = "BUY" if difference > 0 else "SELL"
        covered = sum(
            (permit.remaining for permit in self.live_permits if permit.order_side == order_side), ZERO
        )
        return difference.copy_abs() <= covered
