"""The simulated account: symbols, positions, orders and the events they cause. Synchronous, no I/O.

Everything that moves a position passes through one function, which gives the change its transaction time,
writes it into the history and announces it. Fills happen at the mark price, at once, without margin checks.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from decimal import ROUND_DOWN, Decimal
from random import Random
from typing import Any, Protocol

import msgspec

from simulator import errors, events
from simulator.events import UserEvent, user_event
from simulator.faults import Faults
from simulator.history import FLAT, PositionChange, PositionHistory, PositionSide
from simulator.key_rights import KeyRights
from simulator.listen_keys import ListenKeys
from simulator.listing import TRADING, Listing
from simulator.mark_prices import MarkPrices
from simulator.order_rules import accepted_quantity
from simulator.orders import Fill, MarketOrder, Order, OrderBook
from simulator.positions import Position
from simulator.request_log import RequestLog
from simulator.symbols import Symbol, load_symbols, new_symbol
from simulator.transaction_times import TransactionTimes
from simulator.weights import RequestWeights

TAKER_COMMISSION = Decimal("0.0005")
DEFAULT_LEVERAGE = 20
_ALL_LEGS: tuple[PositionSide, ...] = ("BOTH", "LONG", "SHORT")


def _as_it_is(time_ms: int) -> int:
    return time_ms


def host_epoch_ms() -> int:
    """Return this host's wall clock."""
    return time.time_ns() // 1_000_000


class EventSink(Protocol):
    """The receiver of the account's events: the stream server, or a test."""

    def deliver(self, event: UserEvent) -> None: ...


class SimulatedExchange:
    """One Binance USDⓈ-M account and its market, deterministic for a seed and a clock.

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
        self.listing = Listing(load_symbols() if symbols is None else symbols)
        self.leverages: dict[str, int] = {}
        self.seed = seed
        self.host_ms = host_ms
        self.api_key = api_key
        self.api_secret = api_secret
        self.public_key_pem = public_key_pem
        self.portfolio_margin = False
        self.odd_rows: dict[str, dict[str, Any]] = {}
        self.odd_symbols: dict[str, dict[str, Any]] = {}
        self.odd_marks: dict[str, dict[str, Any]] = {}
        self.key_rights = KeyRights()
        self.can_trade = True
        self.faults = Faults() if faults is None else faults
        self.wallet_balance = self._first_wallet_balance = wallet_balance
        self.mark_prices = MarkPrices(dict(self.listing.symbols), seed)
        self.orders = OrderBook()
        self.history = PositionHistory()
        self.listen_keys = ListenKeys(Random(f"{seed}:listen keys"))  # noqa: S311 - reproducible on purpose
        self.weights = RequestWeights()
        self.requests = RequestLog()
        self.sinks: list[EventSink] = []
        self.version = 0
        self.first_fill_share: Decimal | None = None
        self.emits_trade_lite = True
        self._hedge_mode = hedge_mode
        self._positions: dict[tuple[str, PositionSide], Position] = {}
        self._times = TransactionTimes()
        self._last_trade_id = 0

    def exchange_ms(self) -> int:
        """Return the exchange's clock, epoch milliseconds."""
        return self.host_ms() + self.faults.clock_skew_ms

    def sec_until_shown(self) -> float:
        """Seconds until the latest change may be shown: in a burst its transaction time is in the future."""
        follow = self.faults.transaction_times_follow_clock
        return self._times.ahead_ms(self.exchange_ms(), follow_clock=follow) / 1000

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
        """Set the position mode; ``ApiError`` -4059 if that is set already, -4068 with an open position."""
        if hedge_mode == self._hedge_mode:
            raise errors.no_need_to_change_position_side()
        if self.open_positions():
            raise errors.position_side_change_with_position()
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

    def place_market_order(self, order: MarketOrder) -> Order:
        """Accept and fill an order, announcing both; ``ApiError`` when Binance would refuse it.

        With ``first_fill_share`` set, only that share (at least one step) is filled now and the order stays
        ``PARTIALLY_FILLED`` until ``fill_remainder`` or ``expire_remainder``.
        """
        symbol = self.symbol(order.symbol)
        price = self.mark_price(order.symbol)
        position = self.position(order.symbol, order.position_side)
        quantity = accepted_quantity(
            order,
            symbol,
            hedge_mode=self._hedge_mode,
            trading=self.listing.status(order.symbol) == TRADING,
            position=position.amount,
            price=price,
        )
        if order.client_order_id is not None and self.orders.knows_client_id(order.client_order_id):
            raise errors.client_order_id_duplicated()
        accepted = self.accept_order(order, quantity)
        now = quantity
        if self.first_fill_share is not None:
            now = (quantity * self.first_fill_share).quantize(symbol.step_size, rounding=ROUND_DOWN)
            now = min(quantity, max(now, symbol.step_size))
        self.fill(accepted, now, price)
        return accepted

    def accept_order(
        self, order: MarketOrder, quantity: Decimal, *, order_type: str = "MARKET", announced: bool = True
    ) -> Order:
        """Book an order without checking the order rules, and announce it as ``NEW``."""
        order_id = self.orders.next_order_id()
        now_ms = self.event_ms()
        accepted = Order(
            order_id=order_id,
            client_order_id=order.client_order_id or f"sim_{order_id}",
            symbol=self.symbol(order.symbol),
            side=order.side,
            position_side=order.position_side,
            quantity=quantity,
            reduce_only=order.reduce_only,
            order_type=order_type,
            time_ms=now_ms,
            update_time_ms=now_ms,
        )
        self.orders.add(accepted)
        if announced:
            self.announce(events.order_trade_update(accepted, execution_type="NEW", event_time_ms=now_ms))
        return accepted

    def fill_remainder(self, order: Order, quantity: Decimal | None = None) -> None:
        """Fill (that much of) what is left of an order, at the mark price."""
        wanted = order.remaining if quantity is None else min(quantity, order.remaining)
        if order.reduce_only:
            wanted = min(wanted, abs(self.position(order.symbol.name, order.position_side).amount))
        if wanted > 0:
            self.fill(order, wanted, self.mark_price(order.symbol.name))

    def expire_remainder(self, order: Order) -> None:
        """End an unfinished order: what is left of it is cancelled, as for want of counterparties."""
        if order.is_final:
            return
        now_ms = self.event_ms()
        order.expire(now_ms)
        self.announce(
            events.order_trade_update(
                order, execution_type="EXPIRED", event_time_ms=now_ms, expiry_reason="9"
            )
        )

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
        shown_ms = self.faults.shown_time() if announced else _as_it_is
        realized = position.apply_fill(delta, price, transaction_ms)
        if self.faults.dated_ahead_rows:
            position.update_time_ms = shown_ms(transaction_ms)
        elif self.faults.flat_rows_lose_update_time and not position.amount:
            position.update_time_ms = 0
        commission = quantity * price * TAKER_COMMISSION
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
            self._announce_fill(order, position, executed, shown_ms)

    def _announce_fill(
        self, order: Order, position: Position, fill: Fill, shown_ms: Callable[[int], int]
    ) -> None:
        """Announce a booked fill in Binance's order, with every time as ``shown_ms`` gives it."""
        name, mark_price = order.symbol.name, self.mark_price(order.symbol.name)
        updates = [[position]]
        if self._hedge_mode and self.faults.account_update_shows_all_legs:
            updates = [[self.position(name, leg) for leg in _ALL_LEGS]]
        if self._hedge_mode and self.faults.account_update_shows_only_both:
            updates.append([self.position(name, "BOTH")])
        shown = msgspec.structs.replace(fill, transaction_time_ms=shown_ms(fill.transaction_time_ms))
        now_ms, kind = shown_ms(self.event_ms()), fill.execution_type
        if self.emits_trade_lite and kind == "TRADE":
            self.announce(events.trade_lite(order, shown, event_time_ms=now_ms))
        self.announce(events.order_trade_update(order, execution_type=kind, event_time_ms=now_ms, fill=shown))
        for legs in updates:
            self.announce(
                events.account_update(
                    reason="ORDER",
                    event_time_ms=now_ms,
                    transaction_time_ms=shown.transaction_time_ms,
                    wallet_balance=self.wallet_balance,
                    positions=[(leg, mark_price) for leg in legs],
                    asset=order.symbol.quote_asset,
                )
            )

    def next_transaction_ms(self, host_ms: int) -> int:
        """Return the transaction time of a position change at ``host_ms``; see ``TransactionTimes``."""
        now_ms = host_ms + self.faults.clock_skew_ms
        return self._times.next_ms(now_ms, follow_clock=self.faults.transaction_times_follow_clock)

    def event_ms(self) -> int:
        """Return the time for an event that changes no position: now, but not before the last change."""
        follow = self.faults.transaction_times_follow_clock
        return self._times.event_ms(self.exchange_ms(), follow_clock=follow)

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
                client_order_id="",
                order_id=0,
                announced=False,
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
        status: str = TRADING,
    ) -> None:
        """List another perpetual contract while running. ``ValueError`` if listed, or not above 0."""
        symbol = new_symbol(name, step_size=step_size, tick_size=tick_size, first_price=first_price)
        self.listing.add(symbol, status)
        self.mark_prices.add(symbol)
        self.version += 1

    def change_step_size(self, name: str, step_size: Decimal) -> None:
        """Change a listed symbol's step size (and least quantity); amounts are shown in the new one."""
        changed = self.listing.change_step_size(name, step_size)
        for (symbol, _), position in self._positions.items():
            if symbol == name:
                position.symbol = changed
        self.version += 1

    def announce(self, payload: events.Payload, *, listen_key: str | None = None) -> None:
        self.announce_event(user_event(payload, listen_key=listen_key))

    def announce_event(self, event: UserEvent) -> None:
        for sink in self.sinks:
            sink.deliver(event)

    def expire_listen_key(self, *, now: bool = False) -> None:
        """Expire the listen key if its hour is over, or ``now``; its streams get the event, then nothing."""
        self._end_listen_key(self.listen_keys.close() if now else self.listen_keys.expire_due(self.host_ms()))

    def delete_listen_key(self, *, silently: bool = False) -> None:
        """Delete the listen key as DELETE does: its streams get ``listenKeyExpired``, then nothing.

        A PUT is -1125 from then on, until a POST makes another key. ``silently``: without the event.
        """
        self._end_listen_key(self.listen_keys.close(), silently=silently)

    def replace_listen_key(self, *, silently: bool = True) -> str:
        """Delete the listen key and create another, as a second process of the account does; returns it.

        A PUT answers with the other key from then on; the streams of the old one stay open and are silent.
        """
        self.delete_listen_key(silently=silently)
        return self.listen_keys.create_or_extend(self.host_ms())

    def _end_listen_key(self, ended: str | None, *, silently: bool = False) -> None:
        if ended is None or silently:
            return
        payload = events.listen_key_expired(
            ended,
            event_time_ms=self.exchange_ms(),
            time_as_text=self.faults.listen_key_expired_time_as_text,
        )
        self.announce(payload, listen_key=ended)
