"""What each ledger lacks by the exchange's own account: by order, whatever looked like an agreement."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
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
from tests.simulation.venue import ZERO, Venue

OWN = "own"
#: Plans of closes that the engine has proposed begin so.
CLOSE_PLAN = "reconclose:"
#: `P34_EXCHANGE_FRESHNESS_SEC`: an older position is not compared.
_UNSEEN_MS = 10_000
#: From a position that was believed to what rests on it, an agreement, a repair or a proposal, at most (ms).
BELIEVED_MS = 25_000
_LEGS: tuple[PositionSide, ...] = ("BOTH", "LONG", "SHORT")
#: Of so many trades beside ours each part is summed.
_MOST_BESIDE = 8
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
        #: Symbols of which no process need know when they agreed last, since when (the exchange's ms).
        self.forgotten: dict[str, int] = {}
        #: Symbols whose ledger a person has set back to what the engine compared last, before it looked:
        #: nothing tells it that trades of in between are contained.
        self.set_back: set[str] = set()
        #: The ledgers' amounts as an engine compared them last.
        self._compared: dict[str, dict[PositionSide, Decimal | None]] = {}
        #: How many changes of each leg a correction by hand has found, as seen last.
        self._corrected: dict[str, tuple[int, ...]] = {}

    def differs(self, symbol: str) -> bool:
        """Return whether a leg of the ledger is not the exchange's amount; False without a ledger."""
        return bool(self.differing(symbol))

    def differing(self, symbol: str) -> list[tuple[PositionSide, Decimal]]:
        """Return the legs whose ledger is not the exchange's amount, with that of the ledger."""
        return [
            (leg, amount)
            for leg, amount in self.amounts(symbol).items()
            if amount is not None and amount != self._venue.amount(symbol, leg)
        ]

    def amounts(self, symbol: str) -> dict[PositionSide, Decimal | None]:
        """Return the ledger's amounts by leg."""
        return {leg: self._ledgers.amount(symbol, leg) for leg in self._venue.legs_of(symbol)}

    def look(self, symbol: str) -> None:
        """Note a correction by hand: the position may move on before anything compares them."""
        corrected = tuple(self._books.kept.corrected.get((symbol, leg), 0) for leg in _LEGS)
        if corrected != self._corrected.get(symbol, (0,) * len(_LEGS)):
            self._corrected[symbol] = corrected
            self.forget(symbol)
            if self._compared.get(symbol) == self.amounts(symbol):
                self.set_back.add(symbol)
            else:
                self.set_back.discard(symbol)

    def compared(self, symbols: Collection[str]) -> None:
        """Note that an engine compares these ledgers now."""
        for symbol in symbols:
            self._compared[symbol] = self.amounts(symbol)

    def forget(self, symbol: str) -> None:
        """Note that the latest agreement of a symbol may be unknown from now on."""
        self.forgotten[symbol] = self._venue.exchange_ms()

    def noted(self, agreed_ms: Mapping[str, int]) -> None:
        """Note that Redis has when these agreed last (the exchange's clock).

        It counts where no fill of ours is missing, and it is not an agreement of before it was forgotten.
        """
        for symbol, at_ms in agreed_ms.items():
            since_ms = self.forgotten.get(symbol)
            if since_ms is None or at_ms < since_ms - BELIEVED_MS:
                continue
            legs = [self.lacking(symbol, leg) for leg in self._venue.legs_of(symbol)]
            lacks = any(self.is_adopted(each.cause) for leg in legs for each in leg or ())
            if not lacks and not self.differs(symbol):
                self.forgotten.pop(symbol, None)

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
        """Return what the ledger of a leg lacks; None where its fills do not add up to that.

        It contains what an adoption or a correction by hand has found, and what was booked. An outside trade
        that undoes a fill of ours makes the amounts equal, and both are missing.
        """
        amount = self._ledgers.amount(symbol, leg)
        if amount is None:
            return None
        changes = self._venue.changes[symbol, leg]
        agreed, memories = self._contained(symbol, leg), self.memories(symbol)
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
        ledger, memories = self._ledgers.amount(symbol, leg), self.memories(symbol)
        # What others have undone since is in no excess.
        equal = [number for number, change in enumerate(changes, 1) if change.amount == ledger]
        agreed = max(self._contained(symbol, leg), *equal[-1:], 0)
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

    def _contained(self, symbol: str, leg: PositionSide) -> int:
        """Return how many changes of the leg an adoption or a correction by hand has found."""
        kept = self._books.kept
        return max(kept.corrected.get((symbol, leg), 0), kept.contained.get((symbol, leg), 0))

    def _is_own(self, symbol: str, order_id: int, memories: Collection[bytes]) -> bool:
        order = self._venue.orders.find(symbol, order_id=order_id)
        return not self.closes(order_id) and self.cause(order, memories) == OWN

    def is_provable(self, symbol: str) -> bool:
        """Return whether a symbol that differs lacks fills that are booked without a person.

        Others' trades beside them wait for one. A leg that is equal is not looked into.
        """
        if symbol in self.forgotten:
            return False
        legs = [self.lacking(symbol, leg) for leg, _ in self.differing(symbol)]
        if any(leg is None for leg in legs):
            return False
        found = [each for leg in legs for each in leg or ()]
        closes = {plan_id for plan_id, grant in self._books.grants.items() if grant.reconcile}
        own = [self._books.orders.get(str(each.order.order_id)) for each in found]
        if any(each is not None and (each.plan_id in closes or _closes(each)) for each in own):
            return False
        if self._counts_a_close(symbol):
            return False
        return any(self.is_adopted(each.cause) for each in found)

    def _counts_a_close(self, symbol: str) -> bool:
        """Return whether a proposed close was booked like any order, since Redis has lost its decision."""
        return any(
            each.symbol == symbol and _closes(each) and each.plan_id in self._books.lost
            for order_id, each in self._books.orders.items()
            if self._books.kept.booked.get(order_id)
        )

    def closes(self, order_id: int) -> bool:
        """Return whether it is an order of a close that the engine has proposed: it moves no ledger."""
        known = self._books.orders.get(str(order_id))
        return known is not None and _closes(known)

    def restart(self, symbols: Collection[str]) -> None:
        """Note that an engine begins. What undid a fill of ours before, a booking may hide from it."""
        for symbol in symbols:
            legs = [self.lacking(symbol, leg) for leg in self._venue.legs_of(symbol)]
            undone = any(leg and not sum((each.delta for each in leg), ZERO) for leg in legs)
            if undone and any(self.is_adopted(each.cause) for leg in legs for each in leg or ()):
                self.forget(symbol)

    def moved(self, symbol: str) -> None:
        """Note that a booking moves a ledger: it may end the agreement before a pair that nothing has seen.

        A fill of ours and an outside trade that make nothing may come between two comparisons, of which each
        rests on a position that is not older than 10 s.
        """
        for leg in self._venue.legs_of(symbol):
            lacking = self.lacking(symbol, leg) or []
            own = [each for each in lacking if self.is_adopted(each.cause)]
            beside = [
                each.delta
                for each in lacking
                if not self.is_adopted(each.cause)
                and all(abs(each.since_ms - other.since_ms) <= _UNSEEN_MS for other in own)
            ]
            lacks = sum((each.delta for each in own), ZERO)
            if own and not self.differs(symbol) and -lacks in _sums(beside[-_MOST_BESIDE:]):
                self.forget(symbol)

    def says(self, symbol: str) -> str:
        """Return in words what the legs that differ lack."""
        lacking = [each for leg, _ in self.differing(symbol) for each in self.lacking(symbol, leg) or []]
        return ", ".join(f"{each.delta} of {each.order.order_id} ({each.cause})" for each in lacking)

    def foreign(self, symbol: str) -> set[str]:
        """Return the others' orders that a symbol that differs lacks, less those that make nothing together.

        A look names them all, or where it begins behind some of them, those that make the difference.
        """
        orders: set[str] = set()
        for leg, _ in self.differing(symbol):
            lacking = self.lacking(symbol, leg) or []
            others = [each for each in lacking if not self.is_adopted(each.cause)]
            if len(others) == 1:
                orders.add(str(others[0].order.order_id))
        return orders


def _sums(deltas: Sequence[Decimal]) -> set[Decimal]:
    """Return the sum of each part of `deltas`, none of them included."""
    sums = {ZERO}
    for delta in deltas:
        sums |= {each + delta for each in sums}
    return sums


def _closes(order: OwnOrder) -> bool:
    """Return whether it is an order of a close that the engine has proposed."""
    return order.plan_id.startswith(CLOSE_PLAN)
