"""The simulated exchange: one account, its orders, and the market that fills them. Synchronous, no I/O.

Orders fill at the mark price, resting ones at their own. What happens later (further fills, late requests)
is due at a moment of the host's clock, ``due.next_ms``, and happens in the first ``advance`` from then on:
every REST request and every order advances, and ``server.keep_advancing`` does when something is due.
"""

from __future__ import annotations

from decimal import ROUND_DOWN, Decimal

import msgspec

from simulator import errors, events
from simulator.account import Account
from simulator.history import FLAT
from simulator.listing import TRADING
from simulator.margin import check_covered
from simulator.order_rules import accepted_quantity
from simulator.orders import LimitOrder, NewOrder, Order, UnfilledEnd, is_reached

_MOST_OPEN_ORDERS = 200
_SECOND_MS = 1000
#: ``er`` of an order's end.
_NO_REASON, _SELF_TRADE, _NOTHING_TO_REDUCE = "0", "1", "4"
_UNFILLED_REST = {"IOC": "2", "FOK": "10"}
_MARKET_REST, _WOULD_TAKE = "9", "11"


class _Filling(msgspec.Struct, frozen=True):
    """The parts in which one order is filled; ``expire_after`` is how many come before its end, if any."""

    parts: int
    interval_ms: float
    expire_after: int | None


class SimulatedExchange(Account):
    """One Binance USDⓈ-M account and its market, deterministic for a seed and a clock.

    With ``first_fill_share`` set, an order that matches is filled by that share (at least one step) and
    stays ``PARTIALLY_FILLED`` until ``fill_remainder`` or ``end_order``. Otherwise ``faults`` say in how many
    parts it is filled, and when (see ``OrderFaults``).
    """

    def advance(self) -> None:
        """Do what is due by now: further fills, late requests, resting orders that the mark price reached."""
        self.due.run(self.host_ms())
        if self.faults.resting_orders_fill:
            for order in self._resting():
                if order.matches(self.mark_price(order.symbol.name)):
                    self._begin_filling(order)

    def place_order(self, request: NewOrder) -> Order:
        """Accept an order and fill what matches, announcing both; ``ApiError`` when it is refused."""
        self.advance()
        symbol = self.symbol(request.symbol)
        mark_price = self.mark_price(request.symbol)
        quantity = accepted_quantity(
            request,
            symbol,
            hedge_mode=self.hedge_mode,
            trading=self.listing.status(request.symbol) == TRADING,
            position=self.position(request.symbol, request.position_side).amount,
            price=mark_price,
        )
        self._check_account(request)
        never_matches = isinstance(request, LimitOrder) and self._never_matches(request, mark_price)
        order = self.accept_order(request, quantity)
        if never_matches:
            would_take = order.time_in_force == "GTX"
            self.end_order(order, "EXPIRED", _WOULD_TAKE if would_take else _UNFILLED_REST["FOK"])
        elif not self._prevents_self_trade(order):
            self._match(order, mark_price)
        return order

    def find_order(
        self, symbol: str, *, order_id: int | None = None, client_order_id: str | None = None
    ) -> Order:
        """Return the order as a query finds it; ``ApiError`` -2013, also while it is not visible yet."""
        self.advance()
        return self.orders.find(
            symbol, order_id=order_id, client_order_id=client_order_id, visible_at_ms=self.host_ms()
        )

    def cancel_order(
        self, symbol: str, *, order_id: int | None = None, client_order_id: str | None = None
    ) -> Order:
        """Cancel an open order; ``ApiError`` -2011 when there is none with that id."""
        self.advance()
        for order in reversed(self.orders.open(symbol)):
            if order_id in (None, order.order_id) and client_order_id in (None, order.client_order_id):
                self.end_order(order, "CANCELED")
                return order
        raise errors.unknown_order_sent()

    def cancel_all_orders(self, symbol: str) -> None:
        """Cancel the symbol's open orders; ``ApiError`` -1121 for an unknown symbol."""
        self.advance()
        for order in self.orders.open(self.symbol(symbol).name):
            self.end_order(order, "CANCELED")

    def fill_remainder(self, order: Order, quantity: Decimal | None = None) -> None:
        """Fill (that much of) what is left of an order, at its own or else the mark price."""
        wanted = order.remaining if quantity is None else min(quantity, order.remaining)
        wanted = self._at_most(order, wanted)
        if wanted > 0:
            self.fill(order, wanted, self._execution_price(order))

    def end_order(self, order: Order, status: UnfilledEnd = "EXPIRED", reason: str | None = None) -> None:
        """End an unfinished order and announce it; ``reason`` (``er``) is an unfilled rest unless given."""
        if order.is_final:
            return
        if reason is None:
            unfilled = _UNFILLED_REST.get(order.time_in_force, _MARKET_REST)
            reason = _NO_REASON if status == "CANCELED" else unfilled
        now_ms = self.event_ms()
        order.end(status, now_ms)
        execution_type = "CANCELED" if status == "CANCELED" else "EXPIRED"
        self.announce(
            events.order_trade_update(
                order, execution_type=execution_type, event_time_ms=now_ms, expiry_reason=reason
            )
        )

    def _check_account(self, request: NewOrder) -> None:
        """Raise ``ApiError`` for an order that this account may not send now."""
        faults, book = self.faults, self.orders
        client_id = request.client_order_id
        if client_id is not None and book.knows_client_id(
            client_id, ended_too=faults.client_ids_unique_forever
        ):
            raise errors.client_order_id_duplicated()
        if len(book.open(request.symbol)) >= _MOST_OPEN_ORDERS:
            raise errors.too_many_open_orders()
        if not isinstance(request, LimitOrder) and request.symbol in faults.thin_books:
            raise errors.percent_price_not_met()
        if faults.margin_checks and not request.only_reduces:
            check_covered(self, request)

    def _never_matches(self, request: LimitOrder, mark_price: Decimal) -> bool:
        """Return True for a FOK that does not match, or a GTX that does; ``ApiError`` where it is refused."""
        reached = is_reached(request.side, request.price, mark_price)
        if (request.time_in_force, reached) not in (("FOK", False), ("GTX", True)):
            return False
        if self.faults.unfillable_limit_orders == "refused":
            raise errors.not_executed_as_maker() if reached else errors.not_filled_at_once()
        return True

    def _prevents_self_trade(self, order: Order) -> bool:
        """Expire what would trade with the account itself; True if that is the order.

        An order meets a resting one of the other side that its own limit price reaches.
        """
        if not order.is_limit or order.self_trade_prevention == "NONE":
            return False
        met = [
            other
            for other in self.orders.open(order.symbol.name)
            if other.is_limit and other.side != order.side and order.matches(other.price)
        ]
        mode = order.self_trade_prevention
        for other in met if mode in ("EXPIRE_MAKER", "EXPIRE_BOTH") else []:
            self.end_order(other, "EXPIRED_IN_MATCH", _SELF_TRADE)
        if met and mode in ("EXPIRE_TAKER", "EXPIRE_BOTH"):
            self.end_order(order, "EXPIRED_IN_MATCH", _SELF_TRADE)
        return order.is_final

    def _match(self, order: Order, mark_price: Decimal) -> None:
        if order.matches(mark_price):
            self._begin_filling(order)
        elif order.time_in_force == "IOC":
            self.end_order(order, "EXPIRED")
        else:
            order.is_maker = True
            self._watch(order)

    def _watch(self, order: Order) -> None:
        """Look at a resting order each second: as often as the mark price moves."""
        if order in self._resting():
            next_second_ms = (self.host_ms() // _SECOND_MS + 1) * _SECOND_MS
            self.due.add(next_second_ms, lambda: self._watch(order))

    def _resting(self) -> list[Order]:
        return [
            order
            for order in self.orders.open()
            if order.is_maker and order.order_id not in self.being_filled
        ]

    def _begin_filling(self, order: Order) -> None:
        self.being_filled.add(order.order_id)
        faults, step = self.faults, order.symbol.step_size
        if self.first_fill_share is not None:
            now = (order.quantity * self.first_fill_share).quantize(step, rounding=ROUND_DOWN)
            self.fill(order, min(order.quantity, max(now, step)), self._execution_price(order))
            return
        filling = _Filling(faults.fills_per_order, faults.fill_interval_ms, faults.expire_after_fills)
        if order.time_in_force == "FOK":  # All of it at one moment, or nothing.
            filling = _Filling(filling.parts, 0.0, None if filling.expire_after is None else 0)
        if faults.first_fill_after_ms:
            self._later(faults.first_fill_after_ms, order, filling, done=0)
        else:
            self._fill_parts(order, filling, done=0)

    def _later(self, after_ms: float, order: Order, filling: _Filling, *, done: int) -> None:
        due_ms = self.host_ms() + max(1, round(after_ms))
        self.due.add(due_ms, lambda: self._fill_parts(order, filling, done=done))

    def _fill_parts(self, order: Order, filling: _Filling, *, done: int) -> None:
        """Fill the next part, and the others or the end when they are due."""
        while not order.is_final:
            if done == filling.expire_after:
                self.end_order(order, "EXPIRED")
                return
            part = order.remaining
            if done + 1 < filling.parts:
                share = (order.quantity / filling.parts).quantize(order.symbol.step_size, rounding=ROUND_DOWN)
                part = min(part, max(share, order.symbol.step_size))
            part = self._at_most(order, part)
            if part <= 0:
                self.end_order(order, "EXPIRED", _NOTHING_TO_REDUCE)
                return
            self.fill(order, part, self._execution_price(order))
            done += 1
            if filling.interval_ms and not order.is_final:
                self._later(filling.interval_ms, order, filling, done=done)
                return

    def _at_most(self, order: Order, quantity: Decimal) -> Decimal:
        """Cut a quantity to what an order that only reduces may still fill."""
        if not order.only_reduces:
            return quantity
        amount = self.position(order.symbol.name, order.position_side).amount
        against = amount > 0 if order.side == "SELL" else amount < 0
        return min(quantity, abs(amount)) if against else FLAT

    def _execution_price(self, order: Order) -> Decimal:
        mark_price = self.mark_price(order.symbol.name)
        if not order.is_limit:
            return mark_price
        if order.is_maker:
            return order.price
        return min(order.price, mark_price) if order.side == "BUY" else max(order.price, mark_price)
