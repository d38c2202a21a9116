"""The exchange of a simulation: the simulator's account, with a record of every change.

It adds to `SimulatedExchange` only what a judge needs: when, by true time, each position changed, whether by
an order of the pipeline's, and when a change was announced late or never.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Callable
from decimal import Decimal
from random import Random

import msgspec

from brain.execution.orders import OWN_PREFIX
from simulator import SimulatedExchange, events
from simulator.faults import RestFault
from simulator.history import PositionSide
from simulator.orders import NewOrder, Order
from simulator.positions import Position
from simulator.symbols import load_symbols
from tests.simulation.clocks import SteppedClock, true_ms

#: Client order ids of the pipeline's orders begin so: those of its own making, and the chain's.
OWN = ("own-", "p33-")
ZERO = Decimal(0)
#: Fills of one millisecond are dated one after the other: by no more than this.
_LONGEST_BURST_MS = 50
Leg = tuple[str, PositionSide]


class Change(msgspec.Struct, frozen=True):
    """Change of a leg by one fill. `position_ms` is the exchange's transaction time."""

    at_ms: int
    transaction_ms: int
    delta: Decimal
    amount: Decimal
    order_id: int
    own: bool


class Venue(SimulatedExchange):
    """One account. Its own clock is true; what it says the time is, is ahead by `clock_skew_ms`."""

    def __init__(
        self, *, seed: str, symbols: tuple[str, ...], hedge_mode: bool, wallet: int = 1_000_000
    ) -> None:
        listed = load_symbols()
        super().__init__(
            symbols={name: listed[name] for name in symbols},
            seed=sum(seed.encode()),
            host_ms=true_ms,
            hedge_mode=hedge_mode,
            wallet_balance=Decimal(wallet),
        )
        self.clock = SteppedClock()
        self.faults.flat_rows_lose_update_time = Random(f"{seed}:flat rows").random() < 0.5
        self.changes: dict[Leg, list[Change]] = {
            (name, leg): [] for name in symbols for leg in (("LONG", "SHORT") if hedge_mode else ("BOTH",))
        }
        self._at_ms: dict[Leg, list[int]] = {leg: [] for leg in self.changes}
        #: Spans of true time (ms) in which a symbol's stream was behind what its pings proved.
        self.unannounced: dict[str, list[tuple[int, int]]] = {name: [] for name in symbols}
        #: When changes of one millisecond were dated ahead of the clock, and by how much (ms).
        self._ahead: deque[tuple[int, int]] = deque()
        #: The leg whose fill is being announced.
        self.filling: Leg | None = None
        self.on_change: Callable[[str, PositionSide, Change], None] = lambda _symbol, _leg, _change: None
        #: Called for every order of the executor's that is taken, before it is filled.
        self.ends_orders = False
        #: What becomes of every read of the account.
        self.account_fault: RestFault | None = None
        #: What becomes of every request for lists of trades and orders, and of the next ones.
        self.lists_fault: RestFault | None = None
        self.lists_faults_next: list[RestFault] = []
        self.on_order: Callable[[Order], None] = lambda _order: None

    def accept_order(
        self, order: NewOrder, quantity: Decimal, *, order_type: str | None = None, announced: bool = True
    ) -> Order:
        """Book an order, as the simulator does, and note it where it is the executor's."""
        accepted = super().accept_order(order, quantity, order_type=order_type, announced=announced)
        if accepted.client_order_id.startswith(OWN_PREFIX):
            self.on_order(accepted)
        return accepted

    def fill(
        self,
        order: Order,
        quantity: Decimal,
        price: Decimal,
        *,
        execution_type: str = "TRADE",
        announced: bool = True,
    ) -> None:
        """Execute part of an order, as the simulator does, and note when."""
        name, side = order.symbol.name, order.position_side
        self.filling = name, side
        super().fill(order, quantity, price, execution_type=execution_type, announced=announced)
        self.filling = None
        last = self.history.changes(name, side)[-1]
        change = Change(
            true_ms(),
            last.transaction_time_ms,
            last.delta,
            last.amount,
            order.order_id,
            order.client_order_id.startswith(OWN),
        )
        ahead_ms = change.transaction_ms - self.clock.offset_ms - change.at_ms
        # More than a burst makes of it is a fault, for which no claim has an excuse.
        if 0 < ahead_ms <= _LONGEST_BURST_MS:
            self._ahead.append((change.at_ms, ahead_ms))
        self._note(name, side, change)

    def change_silently(self, change: Callable[[], object]) -> list[str]:
        """Call `change`, which moves positions without fills, and note when. The symbols that it moved."""
        before = {leg: self.position(*leg).amount for leg in self.changes}
        change()
        moved: dict[str, None] = {}
        for (name, side), amount in before.items():
            now = self.position(name, side)
            if now.amount != amount:
                moved[name] = None
                self._note(
                    name,
                    side,
                    Change(true_ms(), now.update_time_ms, now.amount - amount, now.amount, 0, own=False),
                )
        return list(moved)

    def wipe_account(self) -> None:
        """Empty the account, as the simulator does, of the executor's open orders by their end."""
        for order in self.orders.open():
            if order.client_order_id.startswith(OWN_PREFIX) and self.ends_orders:
                self.end_order(order)
        super().wipe_account()

    def announce_flat_both(self, symbol: str) -> None:
        """Send an account update that holds nothing but the symbol's flat row of BOTH."""
        now_ms = self.event_ms()
        row = Position(self.symbol(symbol), "BOTH"), self.mark_price(symbol)
        self.announce(
            events.account_update(
                reason="ORDER",
                event_time_ms=now_ms,
                transaction_time_ms=now_ms,
                wallet_balance=self.wallet_balance,
                positions=[row],
            )
        )

    def restore(self, symbol: str, *, back: int) -> None:
        """Put the symbol's legs to what they were so many changes ago, without events."""
        for leg in self.legs_of(symbol):
            changes = self.changes[symbol, leg]
            if len(changes) > back:
                then = changes[-1 - back]
                self.rewind_position(symbol, leg, then.amount, then.transaction_ms)

    def _note(self, name: str, side: PositionSide, change: Change) -> None:
        self.changes[name, side].append(change)
        self._at_ms[name, side].append(change.at_ms)
        self.on_change(name, side, change)

    def step_clock(self, by_ms: int) -> None:
        """Set the exchange's clock. Its transaction times follow."""
        self.clock.step(by_ms)
        self.faults.clock_skew_ms = self.clock.offset_ms

    def amount(self, symbol: str, leg: PositionSide) -> Decimal:
        """Return the signed position now."""
        changes = self.changes[symbol, leg]
        return changes[-1].amount if changes else ZERO

    def amounts_between(self, symbol: str, leg: PositionSide, first_ms: int, last_ms: int) -> set[Decimal]:
        """Return every amount that the leg had in that span of true time, both ends included."""
        times, changes = self._at_ms[symbol, leg], self.changes[symbol, leg]
        first, last = bisect_left(times, first_ms), bisect_right(times, last_ms)
        return {changes[index - 1].amount if index else ZERO for index in range(first, last + 1)}

    def dated_ahead_ms(self, since_ms: int) -> int:
        """By how much transaction times have run ahead of the exchange's clock since then, at most."""
        while self._ahead and self._ahead[0][0] < since_ms - 60_000:
            self._ahead.popleft()
        return max((ahead_ms for at_ms, ahead_ms in self._ahead if at_ms >= since_ms), default=0)

    def changes_since(self, symbol: str, leg: PositionSide, since_ms: int) -> list[Change]:
        """Return the changes of the leg at or after `since_ms`, oldest first."""
        return self.changes[symbol, leg][bisect_left(self._at_ms[symbol, leg], since_ms) :]

    def legs_of(self, symbol: str) -> list[PositionSide]:
        """Return the legs that the account's mode has."""
        return [leg for name, leg in self.changes if name == symbol]
