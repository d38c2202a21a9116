"""The simulated account: symbols, positions, executions and the events they cause. Synchronous, no I/O.

Everything that moves a position passes through one function, which gives the change its transaction time,
writes it into the history and announces it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from random import Random
from typing import Any

from simulator import errors, events
from simulator.due_actions import DueActions
from simulator.faults import Faults
from simulator.history import FLAT, PositionChange, PositionHistory, PositionSide
from simulator.key_rights import KeyRights
from simulator.listing import Listing
from simulator.mark_prices import MarkPrices
from simulator.order_book import OrderBook
from simulator.order_counts import OrderCounts
from simulator.orders import Fill, LimitOrder, NewOrder, Order
from simulator.positions import Position
from simulator.private_streams import PrivateStreams, host_epoch_ms
from simulator.request_log import RequestLog
from simulator.symbols import ContractType, Symbol, load_symbols, new_symbol
from simulator.weights import RequestWeights

MAKER_COMMISSION, TAKER_COMMISSION = Decimal("0.0002"), Decimal("0.0005")
MAX_NOTIONAL = Decimal(20_000_000)
DEFAULT_LEVERAGE = 20
_ALL_LEGS: tuple[PositionSide, ...] = ("BOTH", "LONG", "SHORT")


class Account(PrivateStreams):
    """One Binance USDⓈ-M account and its symbols; ``SimulatedExchange`` adds the orders.

    ``host_ms`` is the host's wall clock in epoch milliseconds; the exchange's own time is that plus
    ``faults.clock_skew_ms``. Nothing here is shared between instances.

    Signed requests are checked with ``api_secret`` (HMAC), or with ``public_key_pem`` where that is set (RSA
    or Ed25519, a PEM text; ``ValueError`` at the first request if it is no such key).

    ``odd_rows``, ``odd_symbols`` and ``odd_marks`` change what is *shown* of a symbol in ``positionRisk``
    (v2 and v3, every row of the symbol), ``exchangeInfo`` and ``!markPrice@arr``; see ``odd_rows.odd_row``.
    With ``portfolio_margin`` every signed request to ``/fapi`` is refused (-2015) and ``apiRestrictions``
    says so.
    """

    def __init__(
        self,
        *,
        symbols: Mapping[str, Symbol] | None = None,
        seed: int = 0,
        host_ms: Callable[[], int] = host_epoch_ms,
        hedge_mode: bool = False,
        api_key: str = "simulator-api-key",
        api_secret: str = "simulator-api-secret",  # noqa: S107 - opens nothing but this simulator
        public_key_pem: str | None = None,
        faults: Faults | None = None,
        wallet_balance: Decimal = Decimal(1_000_000),
    ) -> None:
        super().__init__(seed=seed, host_ms=host_ms, faults=Faults() if faults is None else faults)
        self.listing = Listing(load_symbols() if symbols is None else symbols)
        self.leverages: dict[str, int] = {}
        self._max_notionals: dict[str, Decimal] = {}
        self.api_key = api_key
        self.api_secret = api_secret
        self.public_key_pem = public_key_pem
        self.portfolio_margin = False
        self.odd_rows: dict[str, dict[str, Any]] = {}
        self.odd_symbols: dict[str, dict[str, Any]] = {}
        self.odd_marks: dict[str, dict[str, Any]] = {}
        self.key_rights = KeyRights()
        self.can_trade = True
        self.wallet_balance = self._first_wallet_balance = wallet_balance
        self.mark_prices = MarkPrices(dict(self.listing.symbols), seed)
        self.orders = OrderBook()
        self.due = DueActions()
        #: Orders (their ids) that are being filled, or wait for a control request to fill them.
        self.being_filled: set[int] = set()
        self.first_fill_share: Decimal | None = None
        self.history = PositionHistory()
        self.weights = RequestWeights()
        self.order_counts = OrderCounts()
        self.requests = RequestLog()
        self.version = 0
        self._hedge_mode = hedge_mode
        self._positions: dict[tuple[str, PositionSide], Position] = {}
        self._last_trade_id = 0
        self._lags = Random(f"{seed}:history")  # noqa: S311 - reproducible on purpose

    def symbol(self, name: str) -> Symbol:
        """Look up a symbol; ``ApiError`` -1121 for one that the exchange does not list."""
        return self.listing.symbol(name)

    def mark_price(self, name: str) -> Decimal:
        self.mark_prices.advance_to(self.host_ms())
        return self.mark_prices.price(name)

    @property
    def hedge_mode(self) -> bool:
        return self._hedge_mode

    def set_hedge_mode(self, hedge_mode: bool) -> None:
        """Set the position mode; ``ApiError`` -4059 if it is set, -4067 or -4068 while something is open."""
        if hedge_mode == self._hedge_mode:
            raise errors.no_need_to_change_position_side()
        if self.open_positions():
            raise errors.position_side_change_with_position()
        if self.orders.open():
            raise errors.position_side_change_with_orders()
        self._hedge_mode = hedge_mode
        self.version += 1

    @property
    def legs(self) -> tuple[PositionSide, ...]:
        return ("LONG", "SHORT") if self._hedge_mode else ("BOTH",)

    def position(self, name: str, position_side: PositionSide = "BOTH") -> Position:
        """Return the leg as it stands; an untouched one is flat with ``update_time_ms`` 0."""
        leg = (name, position_side)
        position = self._positions.get(leg)
        if position is None:
            position = self._positions[leg] = Position(self.symbol(name), position_side)
        return position

    def open_positions(self) -> list[Position]:
        return [position for position in self._positions.values() if position.amount]

    def leverage(self, name: str) -> int:
        return self.leverages.get(name, DEFAULT_LEVERAGE)

    def max_notional(self, name: str) -> Decimal:
        """Return the largest position of a symbol in its quote asset."""
        return self._max_notionals.get(name, MAX_NOTIONAL)

    def set_max_notional(self, name: str, notional: Decimal) -> None:
        """Change the largest position; ``ApiError`` -1121 for an unknown symbol."""
        self._max_notionals[self.symbol(name).name] = notional
        self.version += 1

    def accept_order(
        self, order: NewOrder, quantity: Decimal, *, order_type: str | None = None, announced: bool = True
    ) -> Order:
        """Book an order without checking the order rules, and announce it as ``NEW``."""
        order_id = self.orders.next_order_id()
        now_ms = self.event_ms()
        limit = order if isinstance(order, LimitOrder) else None
        accepted = Order(
            order_id=order_id,
            client_order_id=order.client_order_id or f"sim_{order_id}",
            symbol=self.symbol(order.symbol),
            side=order.side,
            position_side=order.position_side,
            quantity=quantity,
            reduce_only=order.reduce_only,
            order_type=order_type or ("LIMIT" if limit else "MARKET"),
            price=limit.price if limit else FLAT,
            time_in_force=limit.time_in_force if limit else "GTC",
            self_trade_prevention=order.self_trade_prevention,
            visible_from_ms=self.host_ms() + round(self.faults.order_visible_after_ms),
            listed_from_ms=self._listed_from_ms(),
            time_ms=now_ms,
            update_time_ms=now_ms,
        )
        self.orders.add(accepted)
        if announced:
            self.announce(events.order_trade_update(accepted, execution_type="NEW", event_time_ms=now_ms))
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
        """Execute part of an order: move the leg, write history, announce order and account."""
        position = self.position(order.symbol.name, order.position_side)
        delta = quantity if order.side == "BUY" else -quantity
        host_ms = self.host_ms()
        transaction_ms = self.next_transaction_ms(host_ms)
        shown_ms = self.faults.shown_time() if announced else lambda time_ms: time_ms
        realized = position.apply_fill(delta, price, transaction_ms)
        if self.faults.dated_ahead_rows:
            position.update_time_ms = shown_ms(transaction_ms)
        elif self.faults.flat_rows_lose_update_time and not position.amount:
            position.update_time_ms = 0
        commission = quantity * price * (MAKER_COMMISSION if order.is_maker else TAKER_COMMISSION)
        self.wallet_balance += realized - commission
        self._last_trade_id += 1
        executed = Fill(
            delta=delta,
            price=price,
            realized_profit=realized,
            commission=commission,
            trade_id=self._last_trade_id,
            transaction_time_ms=transaction_ms,
            execution_type=execution_type,
            is_maker=order.is_maker,
            listed_from_ms=self._listed_from_ms(),
        )
        order.book(executed)
        self.version += 1
        self.history.append(
            PositionChange(
                symbol=order.symbol.name,
                position_side=order.position_side,
                transaction_time_ms=transaction_ms,
                wall_time_ms=host_ms + round(self.sec_until_shown() * 1000),
                amount=position.amount,
                delta=delta,
                price=price,
                client_order_id=order.client_order_id,
                order_id=order.order_id,
                announced=announced,
            )
        )
        if announced:
            mark_price = self.mark_price(order.symbol.name)
            self.announce_fill(
                order, executed, self._updates(position), mark_price, self.wallet_balance, shown_ms
            )

    def _listed_from_ms(self) -> int:
        """Return when an order or fill of now appears in lists (the host's clock)."""
        return self.host_ms() + self.faults.draw_history_lag_ms(self._lags)

    def _updates(self, position: Position) -> list[list[Position]]:
        """Return the legs of each ``ACCOUNT_UPDATE`` about a changed one."""
        name, updates = position.symbol.name, [[position]]
        if self._hedge_mode and self.faults.account_update_shows_all_legs:
            updates = [[self.position(name, leg) for leg in _ALL_LEGS]]
        if self._hedge_mode and self.faults.account_update_shows_only_both:
            updates.append([self.position(name, "BOTH")])
        return updates

    def rewind_position(
        self, symbol: str, position_side: PositionSide, amount: Decimal, update_time_ms: int
    ) -> None:
        """Put a leg to another amount, dated ``update_time_ms``, without order or event.

        A matching engine that was restored from an older state does so; ``update_time_ms`` is the exchange's
        clock. ``ApiError`` -1121 for an unknown symbol, ``ValueError`` for a leg that the position mode
        does not have.
        """
        if position_side not in self.legs:
            raise ValueError(f"positionSide {position_side} does not exist in this position mode")
        position = self.position(symbol, position_side)
        delta, price = amount - position.amount, self.mark_price(symbol)
        position.set(amount, price, update_time_ms)
        self.version += 1
        self.history.append(
            PositionChange(
                symbol=symbol,
                position_side=position_side,
                transaction_time_ms=update_time_ms,
                wall_time_ms=self.host_ms(),
                amount=amount,
                delta=delta,
                price=price,
            )
        )

    def wipe_account(self) -> None:
        """Empty the account without an event, as the monthly reset of the testnet does.

        Every leg is flat with ``updateTime`` 0, unfinished orders are gone, the wallet is as at the start.
        """
        for position in list(self._positions.values()):
            if position.amount:
                self.rewind_position(position.symbol.name, position.position_side, FLAT, 0)
            position.update_time_ms = 0
        self.orders.forget_open()
        self.wallet_balance = self._first_wallet_balance
        self.version += 1

    def list_symbol(
        self,
        name: str,
        *,
        step_size: Decimal,
        tick_size: Decimal,
        first_price: Decimal,
        contract_type: ContractType = "PERPETUAL",
    ) -> None:
        """List another contract while running. ``ValueError`` if listed, or not above 0."""
        symbol = new_symbol(
            name,
            step_size=step_size,
            tick_size=tick_size,
            first_price=first_price,
            contract_type=contract_type,
        )
        self.listing.add(symbol)
        self.mark_prices.add(symbol)
        self.version += 1

    def announce_end(self, name: str, end_ms: int) -> None:
        """Announce when trading of a symbol ends (the exchange's clock); then its status is ``SETTLING``."""
        self.listing.set_end(name, end_ms)
        self.due.add(end_ms - self.faults.clock_skew_ms, lambda: self.listing.end_trading(name, end_ms))

    def change_step_size(self, name: str, step_size: Decimal) -> None:
        """Change a listed symbol's step size (and least quantity); amounts are shown in the new one."""
        changed = self.listing.change_step_size(name, step_size)
        for (symbol, _), position in self._positions.items():
            if symbol == name:
                position.symbol = changed
        self.version += 1
