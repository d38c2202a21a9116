"""What each ledger lacks by the exchange's own account: by order, since both agreed last."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from decimal import Decimal

import msgspec

from brain.execution.orders import OWN_PREFIX
from brain.ledger.order_events import Cause, cause_of
from simulator.history import PositionSide
from simulator.orders import Order
from store.keys import Keys
from store.memory.memory_redis import MemoryRedis
from tests.simulation.books import Books, OwnOrder
from tests.simulation.ledgers import Ledgers
from tests.simulation.venue import ZERO, Leg, Venue

OWN = "own"
#: Plans of closes that the engine has proposed begin so.
CLOSE_PLAN = "reconclose:"
_CONDITIONAL = ("STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET", "TRAILING_STOP_MARKET")


class Lacking(msgspec.Struct, frozen=True):
    """Fills of one order that a ledger lacks: signed, in contracts. `since_ms`: true time of the last one."""

    order: Order
    cause: str
    delta: Decimal
    since_ms: int


class Truth:
    """Compares the exchange with the ledgers as Redis has them."""

    def __init__(
        self,
        books: Books,
        venue: Venue,
        redis: MemoryRedis,
        keys: Keys,
        ledgers: Ledgers,
        adopted: Collection[str],
    ) -> None:
        """`adopted`: the causes that are booked, beside the service's own."""
        self._books = books
        self._venue = venue
        self._redis = redis
        self._keys = keys
        self._ledgers = ledgers
        self._adopted = adopted
        #: How many changes of each leg there were when it was last seen to agree.
        self._agreed: dict[Leg, int] = {}
        #: Symbols of which Redis has lost when they agreed last, and no process need know it.
        self.forgotten: set[str] = set()

    def differs(self, symbol: str) -> bool:
        """Return whether a leg of the ledger is not the exchange's amount; False without a ledger."""
        return any(
            amount is not None and amount != self._venue.amount(symbol, leg)
            for leg, amount in self.amounts(symbol).items()
        )

    def amounts(self, symbol: str) -> dict[PositionSide, Decimal | None]:
        """Return the ledger's amounts by leg."""
        return {leg: self._ledgers.amount(symbol, leg) for leg in self._venue.legs_of(symbol)}

    def look(self, symbol: str) -> None:
        """Note an agreement, where there is one now."""
        if not self.differs(symbol):
            self.forgotten.discard(symbol)
            for leg in self._venue.legs_of(symbol):
                self._agreed[symbol, leg] = len(self._venue.changes[symbol, leg])

    def memories(self, symbol: str) -> dict[bytes, bytes]:
        """Return what is booked of each order."""
        return self._redis.hgetall(self._keys.order_memory(symbol))

    def cause(self, order: Order, memories: Collection[bytes]) -> str:
        """Return the sender of an order: `own`, a cause of `DriftCause`, or `manual`.

        `memories`: the orders that a result has named.
        """
        name, order_id = order.client_order_id, str(order.order_id)
        if name.startswith(OWN_PREFIX) or order_id.encode() in memories:
            return OWN
        known = cause_of(name)  # type: ignore[arg-type]
        if known is not Cause.ORDER:
            return known.value
        return "stop" if order.order_type in _CONDITIONAL else "manual"

    def is_adopted(self, cause: str) -> bool:
        """Return whether orders of a cause are booked."""
        return cause == OWN or cause in self._adopted

    def lacking(self, symbol: str, leg: PositionSide) -> list[Lacking] | None:
        """Return what the ledger of a leg lacks; None where its fills do not add up to that."""
        amount = self._ledgers.amount(symbol, leg)
        if amount is None:
            return None
        changes = self._venue.changes[symbol, leg]
        agreed = self._agreed.get((symbol, leg), 0)
        memories = self.memories(symbol)
        found: list[Lacking] = []
        for order_id in dict.fromkeys(change.order_id for change in changes[agreed:]):
            if not order_id:
                return None
            before = sum((abs(e.delta) for e in changes[:agreed] if e.order_id == order_id), ZERO)
            fills = [each for each in changes[agreed:] if each.order_id == order_id]
            booked = self._books.kept.booked.get(str(order_id))
            if booked is not None and booked < before:
                # Part of it is in the ledger by another way: a correction, an adoption.
                return None
            filled = before + sum((abs(each.delta) for each in fills), ZERO)
            growth = filled - max(booked or ZERO, before)
            if growth > 0:
                order = self._venue.orders.find(symbol, order_id=order_id)
                signed = growth if order.side == "BUY" else -growth
                found.append(Lacking(order, self.cause(order, memories), signed, fills[-1].at_ms))
        lacks = sum((each.delta for each in found), ZERO)
        return found if amount + lacks == self._venue.amount(symbol, leg) else None

    def held_with_own(
        self, symbol: str, leg: PositionSide, since_ms: int
    ) -> Iterator[tuple[Decimal, Decimal]]:
        """Yield the leg's amounts since then (true ms), each with the sum of own fills in it not booked yet.

        Orders of proposed closes are none of our own: they remove what others have added.
        """
        changes = self._venue.changes[symbol, leg]
        agreed, memories = self._agreed.get((symbol, leg), 0), self.memories(symbol)
        filled: dict[int, Decimal] = {}
        held = own = ZERO
        for number, change in enumerate(changes):
            if change.at_ms >= since_ms:
                yield held, own
            held = change.amount
            before = filled.get(change.order_id, ZERO)
            filled[change.order_id] = after = before + abs(change.delta)
            if number < agreed or not change.order_id or not self._is_own(symbol, change.order_id, memories):
                continue
            booked = self._books.kept.booked.get(str(change.order_id), ZERO)
            lacks = max(after - max(before, booked), ZERO)
            own += lacks if change.delta > 0 else -lacks
        yield held, own

    def _is_own(self, symbol: str, order_id: int, memories: Collection[bytes]) -> bool:
        order, known = (
            self._venue.orders.find(symbol, order_id=order_id),
            self._books.orders.get(str(order_id)),
        )
        return not (known is not None and _closes(known)) and self.cause(order, memories) == OWN

    def is_provable(self, symbol: str) -> bool:
        """Return whether the symbol differs by fills alone that are booked without a person."""
        if symbol in self.forgotten:
            return False
        legs = [self.lacking(symbol, leg) for leg in self._venue.legs_of(symbol)]
        if any(leg is None for leg in legs):
            return False
        found = [each for leg in legs for each in leg or ()]
        closes = {plan_id for plan_id, grant in self._books.grants.items() if grant.reconcile}
        own = [self._books.orders.get(str(each.order.order_id)) for each in found]
        if any(each is not None and (each.plan_id in closes or _closes(each)) for each in own):
            return False
        return bool(found) and all(self.is_adopted(each.cause) for each in found)


def _closes(order: OwnOrder) -> bool:
    """Return whether it is an order of a close that the engine has proposed."""
    return order.plan_id.startswith(CLOSE_PLAN)
