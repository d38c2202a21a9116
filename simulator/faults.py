"""Everything that can go wrong on purpose. Plain and mutable: change a field while the simulator runs."""

from __future__ import annotations

from random import Random
from typing import Annotated, Any, Literal

import msgspec

RestFault = Literal["429", "418", "5xx", "hang", "truncated", "not_json", "reset"]


class Faults(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Switches, all off by default. Durations in milliseconds unless the name says otherwise; rates 0–1.

    REST: ``rest_latency_ms`` is the whole round trip, of which ``rest_latency_share_before`` passes before
    the request is looked at and the rest before the answer leaves. ``rest_faults_next`` is a queue: each
    matching request takes one from its head, whatever the rates say. ``rest_fault_paths`` (prefixes) limits
    both queue and rates. ``hang``, ``truncated``, ``not_json`` and ``reset`` strike *after* the request had
    its effect unless ``fail_before_effect``; the others refuse it. With ``refuse_bulk_positions`` a read of
    positions that names no symbol is refused, as some proxies do.

    Stream: a new connection can be refused (503 to its handshake), reset before its handshake is answered, or
    frozen there (``StreamServer.thaw`` lets it go on). ``drop_event_types`` limits dropping to those event
    types. A reordered event is held for ``reorder_hold_ms`` while later ones overtake it. With
    ``account_update_shows_all_legs`` an account in hedge mode is told the unchanged legs as well, the flat
    ``BOTH`` among them, as the documentation's example shows. ``mark_price_frames`` is how many frames share
    a round of mark prices: the documentation has some symbols come in a message of their own.
    """

    rest_latency_ms: float = 0.0
    rest_jitter_ms: float = 0.0
    rest_latency_share_before: float = 0.5
    rest_faults_next: list[RestFault] = []
    rest_fault_rates: dict[RestFault, float] = {}
    rest_fault_paths: list[str] = []
    retry_after_sec: int = 1
    ban_sec: int = 120
    server_error_status: int = 503
    fail_before_effect: bool = False
    refuse_bulk_positions: bool = False

    drop_events_next: int = 0
    drop_event_rate: float = 0.0
    drop_event_types: list[str] = []
    event_delay_ms: float = 0.0
    event_jitter_ms: float = 0.0
    reorder_event_rate: float = 0.0
    reorder_hold_ms: float = 30.0
    duplicate_event_rate: float = 0.0
    refuse_streams: bool = False
    reset_new_streams: bool = False
    freeze_new_streams: bool = False
    listen_key_expired_time_as_text: bool = False
    account_update_shows_all_legs: bool = False
    mark_price_frames: Annotated[int, msgspec.Meta(ge=1)] = 1

    clock_skew_ms: int = 0

    def patch(self, changes: dict[str, Any]) -> None:
        """Set the named fields; ``msgspec.ValidationError`` and no change if one is unknown or ill-typed."""
        merged = msgspec.convert({**msgspec.to_builtins(self), **changes}, Faults)
        for name in self.__struct_fields__:
            setattr(self, name, getattr(merged, name))

    def clear(self) -> None:
        """All switches off again."""
        self.patch(msgspec.to_builtins(Faults()))


class FaultDice:
    """Draws from the faults with a generator of its own, so that one seed gives one sequence."""

    def __init__(self, faults: Faults, random: Random) -> None:
        self._faults = faults
        self._random = random

    def rest_latency_ms(self) -> tuple[float, float]:
        """How long this request waits before it is handled, and its answer after that."""
        faults = self._faults
        total = max(0.0, faults.rest_latency_ms + self._random.uniform(-1, 1) * faults.rest_jitter_ms)
        before = total * faults.rest_latency_share_before
        return before, total - before

    def rest_fault(self, path: str) -> RestFault | None:
        faults = self._faults
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
