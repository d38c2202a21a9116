"""Facts of one decision, derived from its case for the checks."""

from __future__ import annotations

from decimal import Decimal

from brain.decisions.case import Case
from brain.ledger.ledger import Ledger, ledger_or_problem, legs_of
from brain.numbers import ZERO
from brain.plans.kinds import reducing_side
from brain.plans.permit import Kind, OpenPermit, explained_by
from brain.plans.plan import PlanDecision, Side
from brain.positions.position import Leg

#: Bound once: up to Python 3.11, access to an enum member costs as much as ten attributes.
_BOTH, _LONG = Leg.BOTH, Leg.LONG
_RECONCILE_CLOSE = PlanDecision.RECONCILE_CLOSE
_SIDE_CLOSE = Side.CLOSE

#: Reasons for which a hedge-mode ledger gives no amount of a leg.
LEGS_UNKNOWN = "does not tell its legs"
LEGS_DO_NOT_ADD_UP = "its legs do not add up to last_known_amt"


class Facts:
    """Case with derived values and the results of checks so far.

    `leg` is None in hedge mode when the plan has none. `amount` is the leg's signed position in contracts,
    None while unknown. The checks set `kind`; `available`, the part of the position that open permits leave
    for a close; `quantity`, the quantity that may be closed; and `warnings`.
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
        """Signed amount of the leg, for checks after those of snapshot and leg."""
        if self.amount is None:
            raise LookupError("no check has found the position yet")
        return self.amount

    @property
    def holds_a_position(self) -> bool:
        """True if the snapshot, fresh or not, shows a position: on the plan's leg, if it names one."""
        if self.amount is not None:
            return bool(self.amount)
        return self.case.snapshot is not None and any(row.amount != 0 for row in self.case.snapshot.legs)

    @property
    def order_side(self) -> str | None:
        """`BUY` or `SELL`: the plan's, or the one that closes the position; None when neither is known."""
        side = self.plan.side
        if side is None or side is _SIDE_CLOSE:
            if self.leg is None or self.amount is None or self.plan.action == "UPDATE_SL":
                return None
            side = reducing_side(self.leg, self.amount)
        return None if side is None else str(side)

    @property
    def ledger(self) -> Ledger | str:
        """Ledger, or the reason for which it cannot be used."""
        if self._ledger is None:
            self._ledger = ledger_or_problem(self.case.ledger)
        return self._ledger

    @property
    def ledger_amount(self) -> Decimal | str:
        """Return the ledger's amount of the leg, or the reason for which it has none.

        In hedge mode the legs must add up to `last_known_amt`. After a correction of the sum alone
        the legs are known only where one leg of the exchange is flat.
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
            return LEGS_UNKNOWN
        return LEGS_DO_NOT_ADD_UP

    @property
    def live_permits(self) -> tuple[OpenPermit, ...]:
        """Return the open permits on this leg that have not expired."""
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
        """Return True if orders of open permits can have moved the leg by `difference` (not zero)."""
        return explained_by(self.live_permits, difference)
