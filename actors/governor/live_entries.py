"""Live grants of opens and adds with their sums, so that an exposure costs no walk over all of them."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from decimal import Decimal

from brain.governor.case import ExposureView
from brain.governor.exposure import Holdings
from brain.governor.grants import Grant
from brain.identifiers import PlanId, Symbol
from brain.numbers import EXACT, ZERO

_NO_GRANTS: dict[PlanId, Grant] = {}


class LiveEntries:
    """The grants that rules 13 and 15 count: until their time is over, or a snapshot shows their fill."""

    def __init__(self) -> None:
        self.filled: dict[PlanId, Grant] = {}
        self._grants: dict[PlanId, Grant] = {}
        self._by_symbol: dict[Symbol, dict[PlanId, Grant]] = {}
        self._counted: dict[Symbol, dict[PlanId, Decimal]] = {}
        self._notionals: dict[Symbol, Decimal] = {}
        self._ends: list[tuple[int, PlanId]] = []
        self.notional = ZERO

    def __len__(self) -> int:
        return len(self._grants)

    def of(self, symbol: Symbol) -> Iterable[Grant]:
        """Return the grants of a symbol, the settled ones too."""
        return self._by_symbol.get(symbol, _NO_GRANTS).values()

    def newest_first(self, symbol: Symbol) -> Iterable[Grant]:
        """Return the grants of a symbol, those that were added last first."""
        return reversed(self._by_symbol.get(symbol, _NO_GRANTS).values())

    def add(self, grant: Grant) -> None:
        """Add a grant, or replace it."""
        self.remove(grant.plan_id)
        self._grants[grant.plan_id] = grant
        self._by_symbol.setdefault(grant.symbol, {})[grant.plan_id] = grant
        self._counted.setdefault(grant.symbol, {})[grant.plan_id] = grant.notional
        self._add_notional(grant.symbol, grant.notional)
        if grant.filled_ms is None:
            heapq.heappush(self._ends, (grant.ends_ms, grant.plan_id))
        else:
            self.filled[grant.plan_id] = grant

    def remove(self, plan_id: PlanId) -> None:
        """Remove a grant, if it is there."""
        grant = self._grants.get(plan_id)
        if grant is None:
            return
        self.discount(plan_id)
        del self._grants[plan_id]
        self.filled.pop(plan_id, None)
        others = self._by_symbol[grant.symbol]
        del others[plan_id]
        if not others:
            del self._by_symbol[grant.symbol]

    def discount(self, plan_id: PlanId) -> None:
        """Count a grant no longer."""
        symbol = self._grants[plan_id].symbol
        counted = self._counted.get(symbol, {})
        notional = counted.pop(plan_id, None)
        if notional is None:
            return
        self._add_notional(symbol, -notional)
        if not counted:
            del self._counted[symbol], self._notionals[symbol]

    def exposure(self, held: Holdings, symbol: Symbol, now_ms: int) -> ExposureView:
        """Return the exposure that a plan of `symbol` meets at that moment (Redis's clock)."""
        while self._ends and self._ends[0][0] <= now_ms:
            ends_ms, plan_id = heapq.heappop(self._ends)
            grant = self._grants.get(plan_id)
            if grant is not None and grant.filled_ms is None and grant.ends_ms == ends_ms:
                self.discount(plan_id)
        positions, counted = held.notionals, self._counted
        in_symbol = self._notionals.get(symbol, ZERO)
        return ExposureView(
            symbols=len(positions) + sum(each not in positions for each in counted),
            holds_symbol=symbol in positions or symbol in counted,
            positions_notional=held.total,
            total_notional=EXACT.add(held.total, self.notional),
            symbol_notional=EXACT.add(positions.get(symbol, ZERO), in_symbol),
        )

    def _add_notional(self, symbol: Symbol, notional: Decimal) -> None:
        self.notional = EXACT.add(self.notional, notional)
        self._notionals[symbol] = EXACT.add(self._notionals.get(symbol, ZERO), notional)
