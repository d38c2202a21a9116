"""Orders with the chain's client order ids that no executor of this world reports."""

from __future__ import annotations

from decimal import Decimal
from random import Random
from typing import TYPE_CHECKING

from brain.execution.orders import client_order_id
from brain.identifiers import PlanId
from simulator import MarketOrder
from tests.simulation.books import OwnOrder
from tests.simulation.venue import ZERO

if TYPE_CHECKING:
    from tests.simulation.world import World


class OrphanOrders:
    """Plays an executor that was killed for good behind its request."""

    def __init__(self, world: World, rng: Random) -> None:
        self.count = 0
        self._world = world
        self._rng = rng
        #: Client order ids.
        self.names: set[str] = set()

    def fill(self, symbol: str, parts: int) -> None:
        """Send an order, and have it filled in so many parts at once. No plan is known of it."""
        world, rng = self._world, self._rng
        venue, books = world.venue, world.books
        leg = rng.choice(venue.legs_of(symbol))
        amount, step = venue.amount(symbol, leg), venue.symbol(symbol).step_size
        quantity = step * rng.randint(parts, 4 * parts)
        side = "BUY" if rng.random() < 0.5 else "SELL"
        if leg != "BOTH":
            closes = abs(amount) >= quantity and rng.random() < 0.5
            side = "SELL" if closes is (leg == "LONG") else "BUY"
        self.count += 1
        plan_id = f"orphan-{self.count}"
        name = str(client_order_id(world.keys.prefix, PlanId(plan_id)))
        self.names.add(name)
        # Nothing in Redis speaks for it.
        books.lost.add(plan_id)
        request = MarketOrder(
            symbol=symbol,
            side="BUY" if side == "BUY" else "SELL",
            quantity=quantity,
            position_side=leg,
            client_order_id=name,
        )
        order = venue.accept_order(request, quantity)
        order_id = str(order.order_id)
        books.orders[order_id] = OwnOrder(order_id, symbol, leg, side, plan_id)
        world.trace.note(f"orphan {name} {side} {quantity} {symbol} {leg} in {parts}")
        left = quantity
        for number in range(parts):
            part = left if number + 1 == parts else max(step, _share(left, parts - number, step))
            venue.fill(order, part, venue.mark_price(symbol))
            left -= part
        assert left == ZERO


def _share(left: Decimal, parts: int, step: Decimal) -> Decimal:
    return left // parts // step * step
