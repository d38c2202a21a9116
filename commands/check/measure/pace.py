"""Durations of the measurements: about two minutes in all."""

from __future__ import annotations

import msgspec


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """Numbers of requests and pings, and times to wait for something, in seconds."""

    clock_requests: int = 5
    pings: int = 60
    ping_every_sec: float = 1.0
    pong_within_sec: float = 5.0
    unknown_key_pings: int = 20
    mark_prices_sec: float = 10.0
    after_delete_sec: float = 15.0
    order_found_within_sec: float = 5.0
    order_events_within_sec: float = 5.0
    between_looks_sec: float = 0.2
    position_seen_within_sec: float = 5.0
    #: An order without an answer may still be executed within its receive window of 5 s.
    unanswered_order_sec: float = 6.0
    #: The longest time to close what an order has opened: a 429 passes within it.
    closing_within_sec: float = 120.0
    retry_after_sec: float = 1.0

    @property
    def lasts_sec(self) -> float:
        """The expected time of all measurements."""
        ping_count = self.pings + self.unknown_key_pings
        return ping_count * self.ping_every_sec + self.mark_prices_sec + self.after_delete_sec + 15.0
