"""Exchange of the random histories: orders, their fills in sequence, and what its lists show of them.

A view is a number of fills: positions and lists lag behind by so many. The quantity of each fill is another
power of 5 (in steps of 0.001), so that no two different sets of fills make the same amount.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from random import Random

from brain.identifiers import ClientOrderId, OrderId
from brain.numbers import ZERO
from brain.positions.position import Leg, LegPosition
from brain.reconciliation.evidence import HistoricOrder, Trade
from brain.reconciliation.rules import DriftCause

STEP = Decimal("0.001")
MOST_FILLS = 22
CLIENT_ORDER_IDS = {
    DriftCause.OWN_UNBOOKED: "p33-recorded-",
    DriftCause.OWN_ORPHAN: "p33-orphan-",
    DriftCause.RECONCILE_CLOSE: "p33-close-",
    DriftCause.LIQUIDATION: "autoclose-",
    DriftCause.ADL: "adl_autoclose",
    DriftCause.SETTLEMENT: "settlement_autoclose-",
    DriftCause.STOP: "x-stop-",
    DriftCause.MANUAL: "web_",
    #: An order of another executor: ours once a result has named it.
    DriftCause.NONE: "x-harvest-",
}


class Fill(Trade, frozen=True):
    """A trade, and its place in the sequence of all."""

    place: int


class Order:
    """An order; `cause` is the true one, `placed` the number of fills before it."""

    def __init__(self, number: int, cause: DriftCause, side: str, leg: Leg, placed: int, at_ms: int) -> None:
        self.order_id = OrderId(str(number))
        self.client_order_id = ClientOrderId(f"{CLIENT_ORDER_IDS[cause]}{number}")
        self.cause = cause
        self.side = side
        self.leg = leg
        self.placed = placed
        self.placed_ms = at_ms
        self.fills: list[Fill] = []

    def cumulative(self, view: int) -> Decimal:
        return sum((each.quantity for each in self.fills if each.place < view), ZERO)

    def signed(self, quantity: Decimal) -> Decimal:
        return quantity if self.side == "BUY" else -quantity

    def shown(self, view: int) -> HistoricOrder:
        times = [each.time_ms for each in self.fills if each.place < view]
        return HistoricOrder(
            order_id=self.order_id,
            client_order_id=self.client_order_id,
            side=self.side,
            leg=self.leg,
            cumulative=self.cumulative(view),
            conditional=self.cause is DriftCause.STOP,
            placed_ms=self.placed_ms,
            updated_ms=max(times, default=self.placed_ms),
        )


class Venue:
    """The account at the exchange. `now_ms` is its clock; several fills may share a millisecond.

    `current`: from now on nothing lags behind.
    """

    def __init__(self, rng: Random, *, hedge_mode: bool) -> None:
        self.now_ms = 1_000_000
        self.current = False
        self.legs = [Leg.LONG, Leg.SHORT] if hedge_mode else [Leg.BOTH]
        self.orders: list[Order] = []
        self.fills: list[Fill] = []
        self._rng = rng
        self._sizes = [STEP * 5**power for power in range(MOST_FILLS)]
        rng.shuffle(self._sizes)

    @property
    def exhausted(self) -> bool:
        return not self._sizes

    def place(self, cause: DriftCause, side: str | None = None, leg: Leg | None = None) -> Order:
        side, leg = side or self._rng.choice(["BUY", "SELL"]), leg or self._rng.choice(self.legs)
        number = len(self.orders) + 1
        self.orders.append(Order(number, cause, side, leg, len(self.fills), self.now_ms))
        return self.orders[-1]

    def fill(self, order: Order, quantity: Decimal | None = None) -> None:
        place = len(self.fills)
        quantity = quantity or self._sizes.pop()
        fill = Fill(place + 1, order.order_id, order.side, order.leg, quantity, self.now_ms, place)
        order.fills.append(fill)
        self.fills.append(fill)

    def amount(self, leg: Leg, view: int) -> Decimal:
        signed = (each.quantity if each.side == "BUY" else -each.quantity for each in self._until(leg, view))
        return sum(signed, ZERO)

    def position(self, view: int) -> tuple[LegPosition, ...]:
        """The rows of a view; one of a flat leg may lack its date."""
        rows = []
        for leg in self.legs:
            amount = self.amount(leg, view)
            dated_ms = max((each.time_ms for each in self._until(leg, view)), default=0)
            if not amount and self._rng.random() < 0.5:
                dated_ms = 0
            rows.append(LegPosition(leg, amount, None, dated_ms))
        return tuple(rows)

    def verified_ms(self, view: int) -> int:
        """A moment until which the view contains every trade: a lower bound, at times an early one."""
        if self.current:
            return self.now_ms
        latest_ms = self.fills[view].time_ms - 1 if view < len(self.fills) else self.now_ms
        return latest_ms - self._rng.choice([0, 0, 0, 1, 400])

    def view(self, most_behind: int) -> int:
        """A view that is up to date in half of the cases."""
        behind = 0 if self.current else self._rng.choice([0, self._rng.randint(0, most_behind)])
        return max(0, len(self.fills) - behind)

    def trades(self, since_ms: int, view: int) -> tuple[Trade, ...]:
        return tuple(each for each in self.fills[:view] if each.time_ms >= since_ms)

    def shown(self, view: int) -> Iterable[Order]:
        return (order for order in self.orders if order.placed < view or order.fills)

    def _until(self, leg: Leg, view: int) -> Iterable[Fill]:
        return (each for each in self.fills[:view] if each.leg is leg)
