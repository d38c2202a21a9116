"""The private streams of a simulated exchange: the times, the listen key and the delivery of its events."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from decimal import Decimal
from random import Random
from typing import Protocol

import msgspec

from simulator import events
from simulator.events import UserEvent, user_event
from simulator.faults import Faults
from simulator.listen_keys import ListenKeys
from simulator.orders import Fill, Order
from simulator.positions import Position

#: Changes of one millisecond are given growing times, and none is shown before its time. A step back of the
#: clock by less than this counts as part of the burst.
LONGEST_BURST_MS = 50


def host_epoch_ms() -> int:
    """Return this host's wall clock."""
    return time.time_ns() // 1_000_000


class EventSink(Protocol):
    """The receiver of the account's events: the stream server, or a test."""

    def deliver(self, event: UserEvent) -> None: ...


class TransactionTimes:
    """Source of transaction times: the exchange's clock, made to grow within a burst.

    A clock that is set back makes later changes *older*, as on the exchange. Arguments and results are its
    clock, epoch milliseconds.
    """

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._last_ms = 0
        self._clock_at_last_ms = 0

    def next_ms(self, now_ms: int) -> int:
        """Return the time of a change at ``now_ms``: later than all before unless the clock was set back."""
        grown_ms = max(now_ms, self._last_ms + 1)
        self._last_ms = now_ms if self._set_back(now_ms) else grown_ms
        self._clock_at_last_ms = now_ms
        return self._last_ms

    def event_ms(self, now_ms: int) -> int:
        """Return the time of an event without a change: now, but not before the last change of a burst."""
        return now_ms if self._set_back(now_ms) else max(now_ms, self._last_ms)

    def ahead_ms(self, now_ms: int) -> int:
        """Return how far the last change's time is ahead of the clock (at most 50 ms)."""
        if self._set_back(now_ms):
            return 0
        return min(max(self._last_ms - now_ms, 0), LONGEST_BURST_MS)

    def _set_back(self, now_ms: int) -> bool:
        """Return True if the clock was set back since the last change and times follow it."""
        follow = self._faults.transaction_times_follow_clock
        return follow and now_ms <= self._clock_at_last_ms - LONGEST_BURST_MS


class PrivateStreams:
    """The exchange's clock, and all that it says on the private streams, to any number of ``sinks``."""

    def __init__(self, *, seed: int, host_ms: Callable[[], int], faults: Faults) -> None:
        self.seed = seed
        self.host_ms = host_ms
        self.faults = faults
        self.listen_keys = ListenKeys(Random(f"{seed}:listen keys"))  # noqa: S311 - reproducible on purpose
        self.sinks: list[EventSink] = []
        self.emits_trade_lite = True
        self._times = TransactionTimes(faults)

    def exchange_ms(self) -> int:
        """Return the exchange's clock, epoch milliseconds."""
        return self.host_ms() + self.faults.clock_skew_ms

    def sec_until_shown(self) -> float:
        """Seconds until the latest change may be shown: in a burst its transaction time is in the future."""
        return self._times.ahead_ms(self.exchange_ms()) / 1000

    def next_transaction_ms(self, host_ms: int) -> int:
        """Return the transaction time of a position change at ``host_ms``; see ``TransactionTimes``."""
        return self._times.next_ms(host_ms + self.faults.clock_skew_ms)

    def event_ms(self) -> int:
        """Return the time for an event that changes no position: now, but not before the last change."""
        return self._times.event_ms(self.exchange_ms())

    def announce(self, payload: events.Payload, *, listen_key: str | None = None) -> None:
        self.announce_event(user_event(payload, listen_key=listen_key))

    def announce_event(self, event: UserEvent) -> None:
        for sink in self.sinks:
            sink.deliver(event)

    def announce_fill(
        self,
        order: Order,
        fill: Fill,
        updates: Sequence[Sequence[Position]],
        mark_price: Decimal,
        wallet_balance: Decimal,
        shown_ms: Callable[[int], int],
    ) -> None:
        """Announce a booked fill in Binance's order, with every time as ``shown_ms`` gives it.

        ``updates`` are the legs of each ``ACCOUNT_UPDATE``.
        """
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
                    wallet_balance=wallet_balance,
                    positions=[(leg, mark_price) for leg in legs],
                    asset=order.symbol.quote_asset,
                )
            )

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
