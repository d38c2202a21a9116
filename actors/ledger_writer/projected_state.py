"""Redis's state after the bookings that are planned so far."""

from __future__ import annotations

import msgspec

from brain.identifiers import OrderId, PlanId, Symbol
from brain.ledger.ledger import StoredLedger
from store.records import BookingKeys, BookingState, ResultCommit

_LEDGER_FIELDS = frozenset(StoredLedger.__struct_fields__)


class ProjectedState:
    """A prediction. Each commit compares what it rests on with what is stored: a wrong one books nothing."""

    def __init__(self) -> None:
        self._symbols: set[Symbol] = set()
        self._ledgers: dict[str, tuple[StoredLedger, str | None]] = {}
        self._orders: dict[tuple[Symbol, OrderId], str] = {}
        self._permits: dict[tuple[Symbol, PlanId], str | None] = {}
        self._marks: dict[PlanId, str] = {}

    def state(self, keys: BookingKeys, read: BookingState) -> BookingState:
        """Return `read`, which was read before all planned bookings, as it will be after them."""
        symbol, plan_id, order_ids = keys
        if symbol not in self._symbols and plan_id not in self._marks:
            return read
        ledger, version = self._ledgers.get(symbol, (read.ledger, read.version))
        orders = dict(read.orders)
        for order_id in order_ids:
            if (memory := self._orders.get((symbol, order_id))) is not None:
                orders[order_id] = memory
        return msgspec.structs.replace(
            read,
            ledger=ledger,
            version=version,
            orders=orders,
            permit=self._permits.get((symbol, plan_id), read.permit),
            plan_mark=self._marks.get(plan_id, read.plan_mark),
        )

    def add(self, commit: ResultCommit, rests_on: BookingState) -> None:
        """Add the next commit, planned on the state `rests_on`."""
        symbol, plan_id = commit.symbol, commit.plan_id
        self._symbols.add(symbol)
        fields = dict(zip(commit.ledger_fields[::2], commit.ledger_fields[1::2], strict=True))
        if fields:
            known = {name: text for name, text in fields.items() if name in _LEDGER_FIELDS}
            ledger = msgspec.structs.replace(rests_on.ledger, **known)
            self._ledgers[symbol] = ledger, fields.get("version", rests_on.version)
        for order in commit.orders:
            self._orders[symbol, order.order_id] = order.after
        if commit.permit_after is not None:
            self._permits[symbol, plan_id] = commit.permit_after or None
        if commit.mark_after:
            self._marks[plan_id] = commit.mark_after
