"""Faults that can be injected. Plain and mutable: change a field while the simulator runs.

With all fields at their defaults the simulator does what the exchange does on a good day (see each class's
docstring for the fields that switch a kinder or an older way on).
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Annotated, Any, Literal

import msgspec

from simulator.history_faults import HistoryFaults

#: What can strike one REST request; see `rest_failures` for each answer and for when it strikes.
RestFault = Literal[
    "429",
    "418",
    "5xx",
    "403",
    "408",
    "-1006",
    "-1007",
    "503_unknown",
    "503_unavailable",
    "503_internal",
    "-1008",
    "-1015",
    "-1016",
    "-1109",
    "239999",
    "html_maintenance",
    "deep_json",
    "huge",
    "gzip_bomb",
    "hang",
    "truncated",
    "not_json",
    "reset",
    "bad_gateway",
    "late",
]
PositionRiskV2 = Literal["served", "404", "410", "-5000"]


class Faults(HistoryFaults, kw_only=True, forbid_unknown_fields=True):
    """Switches. Durations in milliseconds unless the name says otherwise; rates 0–1.

    REST: ``rest_latency_ms`` is the whole round trip, of which ``rest_latency_share_before`` passes before
    the request is looked at and the rest before the answer leaves. ``rest_faults_next`` is a queue: each
    matching request takes one from its head, whatever the rates say. ``rest_fault_paths`` (prefixes) and
    ``rest_fault_methods`` limit both queue and rates. ``hang``, ``truncated``, ``not_json``, ``reset``,
    ``408``, ``-1006``, ``-1007``, ``503_unknown``, ``bad_gateway``, ``deep_json``, ``huge`` and ``gzip_bomb``
    strike *after* the request had its effect unless ``fail_before_effect``; ``late`` lets it arrive when its
    sender has given up; the others refuse it. With ``refuse_bulk_positions`` a read of positions that names
    no symbol is refused, as some proxies do. ``gateway_timeout_status`` is the HTTP status of ``-1007``,
    ``bad_gateway_status`` that of ``bad_gateway``, ``maintenance_status`` that of ``-1016``, ``239999`` and
    ``html_maintenance``, ``odd_body_status`` that of ``deep_json``, ``huge`` and ``gzip_bomb``.
    ``deep_json`` is ``deep_json_bytes`` times ``[``; ``huge`` and ``gzip_bomb`` are ``huge_body_mb`` MB when
    read, the latter about a thousandth of it on the wire.

    Bans: ``retry_after_header`` is ``real`` (whole seconds to the end of the ban), ``missing``, ``http_date``
    (the end of the ban), ``past_http_date`` (a minute ago), or any other text, sent as it is (``0``, ``-5``,
    ``99999999999``, ``soon``). ``banned_until_text`` is the moment in the sentence of a 418: ``real``,
    ``missing``, ``past`` (a minute ago), or any other text.

    Rows of positions: a flat row of v2 says ``markPrice`` 0 unless ``flat_rows_have_mark_price``; a row that
    went flat by trading keeps its ``updateTime`` unless ``flat_rows_lose_update_time``. ``v2_position_risk``
    other than ``served`` takes ``/fapi/v2/positionRisk`` away with that answer.

    Streams: a handshake with an unknown or dead listen key, a wrong route or an unknown stream succeeds, and
    the socket answers pings and stays silent; ``refuse_unknown_streams`` refuses it instead. A new connection
    can be refused (503 to its handshake), reset before its handshake is answered, or frozen there
    (``StreamServer.thaw`` lets it go on). ``close_streams_after_sec`` closes a new connection so long after
    its handshake (0: at once), ``expire_key_on_connect`` expires the listen key as soon as a private
    connection stands (its event is the first frame; PUT answers -1125, POST makes another key),
    ``drop_streams_every_sec`` breaks all private connections at that interval, counted from when it is set.
    A connection with more than ``incoming_messages_per_sec`` messages (pings count, pongs do not) within one
    second is closed; more than ``connections_per_5_min`` handshakes within five minutes ban the address:
    further handshakes and REST requests get 418. ``None`` switches either limit off.

    Events: ``drop_event_types`` limits dropping to those event types. A reordered event is held for
    ``reorder_hold_ms`` while later ones overtake it. With ``account_update_shows_all_legs`` an account in
    hedge mode is sent the unchanged legs as well, the flat ``BOTH`` among them, as the documentation's
    example shows; with ``account_update_shows_only_both`` each ``ACCOUNT_UPDATE`` of a leg is followed by one
    that holds nothing but the flat ``BOTH`` row. ``mark_price_frames`` is how many frames share a round of
    mark prices: the documentation has some symbols come in a message of their own. ``coin_m_mark_prices``:
    rows of COIN-M (``st`` 2) are in the round, too.

    Clocks: ``clock_skew_ms`` is how far the exchange's clock is ahead of the host's, and may change at any
    time, both ways. Transaction times follow it back, too (a burst's growing ones never run ahead for that),
    unless ``transaction_times_follow_clock`` is off: then they only ever grow. ``T`` and ``E`` of a fill's
    events are ahead by ``date_ahead_ms``, or for the next fills by the head of the queue ``date_ahead_next``;
    those of the next ``microseconds_next`` fills are in microseconds. With ``dated_ahead_rows`` the row's
    ``updateTime`` is the same wrong time. Unannounced fills take nothing from these queues.
    """

    rest_latency_ms: float = 0.0
    rest_jitter_ms: float = 0.0
    rest_latency_share_before: float = 0.5
    rest_faults_next: list[RestFault] = msgspec.field(default_factory=list)
    rest_fault_rates: dict[RestFault, float] = msgspec.field(default_factory=dict)
    rest_fault_paths: list[str] = msgspec.field(default_factory=list)
    rest_fault_methods: list[str] = msgspec.field(default_factory=list)
    retry_after_sec: int = 1
    ban_sec: int = 120
    server_error_status: int = 503
    gateway_timeout_status: int = 408
    bad_gateway_status: int = 502
    maintenance_status: int = 503
    odd_body_status: int = 200
    deep_json_bytes: Annotated[int, msgspec.Meta(ge=1)] = 100_000
    huge_body_mb: Annotated[int, msgspec.Meta(ge=1)] = 200
    fail_before_effect: bool = False
    refuse_bulk_positions: bool = False

    retry_after_header: str = "real"
    banned_until_text: str = "real"

    flat_rows_have_mark_price: bool = False
    flat_rows_lose_update_time: bool = False
    v2_position_risk: PositionRiskV2 = "served"

    refuse_unknown_streams: bool = False
    refuse_streams: bool = False
    reset_new_streams: bool = False
    freeze_new_streams: bool = False
    close_streams_after_sec: float | None = None
    expire_key_on_connect: bool = False
    drop_streams_every_sec: Annotated[float, msgspec.Meta(gt=0)] | None = None
    incoming_messages_per_sec: int | None = 10
    connections_per_5_min: int | None = 300

    drop_events_next: int = 0
    drop_event_rate: float = 0.0
    drop_event_types: list[str] = msgspec.field(default_factory=list)
    event_delay_ms: float = 0.0
    event_jitter_ms: float = 0.0
    reorder_event_rate: float = 0.0
    reorder_hold_ms: float = 30.0
    duplicate_event_rate: float = 0.0
    listen_key_expired_time_as_text: bool = False
    account_update_shows_all_legs: bool = False
    account_update_shows_only_both: bool = False
    mark_price_frames: Annotated[int, msgspec.Meta(ge=1)] = 1
    coin_m_mark_prices: bool = True

    clock_skew_ms: int = 0
    transaction_times_follow_clock: bool = True
    date_ahead_ms: int = 0
    date_ahead_next: list[int] = msgspec.field(default_factory=list)
    microseconds_next: int = 0
    dated_ahead_rows: bool = False

    def patch(self, changes: dict[str, Any]) -> None:
        """Set the named fields; ``msgspec.ValidationError`` and no change if one is unknown or ill-typed."""
        merged = msgspec.convert({**msgspec.to_builtins(self), **changes}, Faults)
        for name in self.__struct_fields__:
            setattr(self, name, getattr(merged, name))

    def clear(self) -> None:
        """Reset all switches to their defaults."""
        self.patch(msgspec.to_builtins(Faults()))

    def shown_time(self) -> Callable[[int], int]:
        """Take the next fill's wrong date from the queues: from its transaction time to what is shown, ms."""
        if self.microseconds_next > 0:
            self.microseconds_next -= 1
            return lambda time_ms: time_ms * 1000
        ahead_ms = self.date_ahead_next.pop(0) if self.date_ahead_next else self.date_ahead_ms
        return lambda time_ms: time_ms + ahead_ms


class FaultDice:
    """Draws from the faults with a generator of its own, so that one seed gives one sequence."""

    def __init__(self, faults: Faults, random: Random) -> None:
        self._faults = faults
        self._random = random

    def rest_latency_ms(self) -> tuple[float, float]:
        """Draw the milliseconds before this request is handled and before its answer is sent."""
        faults = self._faults
        total = max(0.0, faults.rest_latency_ms + self._random.uniform(-1, 1) * faults.rest_jitter_ms)
        before = total * faults.rest_latency_share_before
        return before, total - before

    def rest_fault(self, method: str, path: str) -> RestFault | None:
        faults = self._faults
        if faults.rest_fault_methods and method not in faults.rest_fault_methods:
            return None
        if faults.rest_fault_paths and not path.startswith(tuple(faults.rest_fault_paths)):
            return None
        if faults.rest_faults_next:
            return faults.rest_faults_next.pop(0)
        for fault, rate in faults.rest_fault_rates.items():
            if self._random.random() < rate:
                return fault
        return None

    def drops_event(self, event_type: str) -> bool:
        faults = self._faults
        if faults.drop_event_types and event_type not in faults.drop_event_types:
            return False
        if faults.drop_events_next > 0:
            faults.drop_events_next -= 1
            return True
        return self._random.random() < faults.drop_event_rate

    def event_delay_ms(self) -> float:
        faults = self._faults
        return max(0.0, faults.event_delay_ms + self._random.uniform(-1, 1) * faults.event_jitter_ms)

    def holds_event(self) -> bool:
        return self._random.random() < self._faults.reorder_event_rate

    def event_copies(self) -> int:
        return 2 if self._random.random() < self._faults.duplicate_event_rate else 1
