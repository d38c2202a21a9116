"""Faults of the exchange itself, brought about: what it forgets, misdates, refuses and garbles."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from random import Random
from typing import TYPE_CHECKING

import trio
import trio.lowlevel

from simulator.faults import PositionRiskV2, RestFault
from simulator.odd_rows import MISSING
from tests.simulation.faults import Fault
from tests.simulation.liveness import Liveness
from tests.simulation.streams import Closing
from tests.simulation.verdicts import require

if TYPE_CHECKING:
    from tests.simulation.world import World

#: By so much the exchange's clock is set forward, or back (ms): a correction, a minute, a time zone.
_CLOCK_STEPS_MS = (1_500, 1_500, 60_000, 3_600_000)
DATED_AHEAD_MS = (5_000, 3_600_000)
_CLOSINGS: tuple[Closing, ...] = ("at once", "soon", "expired")
_MAINTENANCE: tuple[RestFault, ...] = ("-1016", "-1109", "239999", "html_maintenance", "deep_json")
_V2_REMOVED: tuple[PositionRiskV2, ...] = ("404", "410", "-5000")
_USELESS_RETRY_AFTER = ("0", "missing", "-5", "soon", "past_http_date")
_USELESS_UNTIL = ("missing", "past", "0")
_ODD_DECORATIONS: tuple[Mapping[str, object], ...] = (
    {"markPrice": ""},
    {"markPrice": "NaN"},
    {"markPrice": None},
    {"markPrice": MISSING},
    {"leverage": MISSING},
    {"leverage": None},
    {"entryPrice": "100.666666666666666666666667"},
    {"entryPrice": ""},
)
_ODD_POSITIONS: tuple[Mapping[str, object], ...] = (
    {"updateTime": MISSING},
    {"updateTime": None},
    {"updateTime": "soon"},
    {"positionSide": "SIDEWAYS"},
    {"positionAmt": "NaN"},
    {"positionAmt": ""},
    {"positionAmt": MISSING},
    {"<row>": None},
)
_ODD_SYMBOLS: tuple[Mapping[str, object], ...] = (
    {"filters": MISSING},
    {"status": MISSING},
    {"LOT_SIZE.stepSize": ""},
    {"LOT_SIZE.stepSize": None},
    {"MARKET_LOT_SIZE.maxQty": "1e15"},
)
_ODD_MARKS: tuple[Mapping[str, object], ...] = (
    {"p": ""},
    {"p": None},
    {"p": MISSING},
    {"E": MISSING},
    {"<row>": None},
)
_FLAP_SEC = 8.0
_LOAD_PAUSE_SEC = 0.25
#: Of looks and of decisions while the stream comes and goes, and the exchange answers.
_READY_SHARE = 0.7
_STALE_SHARE = 0.2
_STALE_REASONS = ("stale_exchange_state", "no_exchange_snapshot")


class FieldFaults:
    """The faults of the exchange that `striking.Striker` does not bring about itself."""

    def __init__(self, world: World, liveness: Liveness) -> None:
        self._world = world
        self._liveness = liveness
        self._exchange_stepped_sec = -1000.0

    def _symbol(self, fault: Fault) -> str:
        symbols = self._world.scene.symbols
        return symbols[fault.which % len(symbols)]

    # The account, and the dates of what happens to it.

    async def do_wiped_account(self, fault: Fault) -> None:
        """Wipe all positions, without an event."""
        self._change_silently(self._world.venue.wipe_account)

    async def do_restored_position(self, fault: Fault) -> None:
        """Restore a symbol's legs of some changes ago, with the dates of that time."""
        symbol = self._symbol(fault)
        self._change_silently(partial(self._world.venue.restore, symbol, back=1 + int(fault.size * 3)))

    def _change_silently(self, change: Callable[[], object]) -> None:
        for symbol in self._world.venue.change_silently(change):
            self._world.streams.note_lost_change(symbol)

    async def do_event_dated_ahead(self, fault: Fault) -> None:
        """Date the next fills ahead of all others, and have some rows adopted with that date."""
        faults, symbol = self._world.venue.faults, self._symbol(fault)
        faults.dated_ahead_rows = fault.size < 0.5
        if fault.which % 3 == 2:
            faults.microseconds_next = 1
        else:
            faults.date_ahead_next = [DATED_AHEAD_MS[fault.which % 3]]
        for _ in range(1 + fault.which % 2):
            self._world.neighbours.move(symbol)
        if faults.dated_ahead_rows:
            self._world.evict([self._world.keys.ledger(symbol)])

    async def do_exchange_clock(self, fault: Fault) -> None:
        """Set the exchange's clock, forward or back."""
        now_sec = trio.current_time()
        if now_sec - self._exchange_stepped_sec > 100:
            self._exchange_stepped_sec = now_sec
            step_ms = _CLOCK_STEPS_MS[fault.which % len(_CLOCK_STEPS_MS)]
            self._world.venue.step_clock(step_ms if fault.size < 0.5 else -step_ms)

    async def do_flat_both_row(self, fault: Fault) -> None:
        """In hedge mode, account updates that hold nothing but the flat row of BOTH."""
        faults = self._world.venue.faults
        faults.account_update_shows_only_both = True
        self._world.neighbours.move(self._symbol(fault))
        await trio.sleep(1.0)
        faults.account_update_shows_only_both = False

    # Listen keys and connections.

    async def do_deleted_key(self, fault: Fault) -> None:
        """Another process deletes the account's key: now, at the next handshake, or to make another one."""
        streams = self._world.streams
        if fault.which % 3 == 0:
            streams.delete_key_at_handshake = True
            for connection in streams.connections():
                connection.hang_up()
            return
        if fault.which % 3 == 1:
            self._world.venue.replace_listen_key(silently=True)
        else:
            self._world.venue.delete_listen_key(silently=fault.size < 0.7)

    async def do_accept_and_close(self, fault: Fault) -> None:
        """Connections are accepted, and ended soon after."""
        streams = self._world.streams
        streams.closing = _CLOSINGS[fault.which % len(_CLOSINGS)]
        for connection in streams.connections():
            connection.hang_up()
        await trio.sleep(fault.for_sec)
        streams.closing = None

    async def do_flapping(self, fault: Fault) -> None:
        """End and accept streams in turn under load, while REST answers."""
        world = self._world
        reasons_before = dict(world.books.reasons)
        looks: list[bool] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._load)
            nursery.start_soon(self._drop_connections)
            with trio.move_on_after(fault.for_sec):
                while True:
                    await trio.sleep(1.0)
                    looks.append(await self._is_ready())
            nursery.cancel_scope.cancel()
        decided = {name: count - reasons_before.get(name, 0) for name, count in world.books.reasons.items()}
        stale, total = sum(decided.get(name, 0) for name in _STALE_REASONS), sum(decided.values())
        if world.settings.fetch_mode != "per_symbol":
            share = sum(looks) / len(looks)
            require(share >= _READY_SHARE, "h", f"ready in {share:.0%} of looks while the stream flaps")
            require(stale <= _STALE_SHARE * total, "h", f"{stale} of {total} plans denied as stale")

    async def _drop_connections(self) -> None:
        while True:
            for connection in self._world.streams.connections():
                connection.hang_up()
            await trio.sleep(_FLAP_SEC)

    async def _load(self) -> None:
        world = self._world
        while True:
            for symbol in world.scene.symbols:
                fields = world.neighbours.plans.stop_loss_update(symbol)
                world.neighbours.publisher.publish(world.neighbours.publisher.new_plan(symbol, fields))
            await trio.sleep(_LOAD_PAUSE_SEC)

    async def _is_ready(self) -> bool:
        answers = [await process.readiness() for process in self._world.processes.values()]
        return any(not why_not for why_not in answers)

    # Answers.

    async def do_maintenance(self, fault: Fault) -> None:
        """Answer every request as during an upgrade."""
        await self._answering({_MAINTENANCE[fault.which % len(_MAINTENANCE)]: 1.0}, fault.for_sec)

    async def do_ban_without_header(self, fault: Fault) -> None:
        """Refuse every request with a 429 without a time to wait."""
        faults, rng = self._world.venue.faults, Random(fault.which)
        faults.retry_after_header = rng.choice(_USELESS_RETRY_AFTER)
        faults.banned_until_text = rng.choice(_USELESS_UNTIL)
        faults.ban_sec = 1
        await self._refusing({"418" if fault.size < 0.5 else "429": 1.0}, fault.for_sec)
        faults.retry_after_header = faults.banned_until_text = "real"

    async def do_forbidden(self, fault: Fault) -> None:
        """Refuse every request as the web firewall does."""
        await self._refusing({"403": 1.0}, fault.for_sec)

    async def _refusing(self, rates: Mapping[RestFault, float], for_sec: float) -> None:
        self._world.refusing_all = True
        await self._answering(rates, for_sec)
        self._world.refusing_all = False

    async def _answering(self, rates: Mapping[RestFault, float], for_sec: float) -> None:
        kept = self._world.venue.faults.rest_fault_rates
        for name, share in rates.items():
            kept[name] = share
        await self._world.without_reads(for_sec)
        for name in rates:
            kept.pop(name, None)

    async def do_v2_removed(self, fault: Fault) -> None:
        """Remove the second version of positionRisk for good."""
        faults = self._world.venue.faults
        faults.v2_position_risk = _V2_REMOVED[fault.which % len(_V2_REMOVED)]
        await trio.lowlevel.checkpoint()

    # Rows that cannot be read.

    async def do_odd_positions(self, fault: Fault) -> None:
        """Send odd rows of positionRisk for one symbol; the others must not be affected."""
        world, symbol = self._world, self._symbol(fault)
        decoration = fault.size < 0.4
        changes = _of(_ODD_DECORATIONS if decoration else _ODD_POSITIONS, fault)
        world.venue.odd_rows[symbol] = changes
        # While the stream stands, it alone is trusted for a minute: so that a read is needed.
        for connection in world.streams.connections():
            connection.hang_up()
        await trio.sleep(fault.for_sec)
        # What only decorates a position is unknown, and costs it nothing.
        await self._liveness.all_is_well(but=() if decoration else (symbol,))
        del world.venue.odd_rows[symbol]

    async def do_odd_symbols(self, fault: Fault) -> None:
        """Send an unreadable symbol in exchangeInfo while the processes start."""
        world, symbol = self._world, self._symbol(fault)
        world.venue.odd_symbols[symbol] = _of(_ODD_SYMBOLS, fault)
        for process in world.processes.values():
            process.kill(0.2)
        await trio.sleep(fault.for_sec)
        await self._liveness.all_is_well(but=(symbol,))
        del world.venue.odd_symbols[symbol]

    async def do_odd_marks(self, fault: Fault) -> None:
        """Send an unreadable row of mark prices: the connection must stay."""
        world, symbol = self._world, self._symbol(fault)
        before = [(process.starts, process.mark_connections) for process in world.processes.values()]
        world.venue.odd_marks[symbol] = _of(_ODD_MARKS, fault)
        await trio.sleep(fault.for_sec)
        after = [(process.starts, process.mark_connections) for process in world.processes.values()]
        del world.venue.odd_marks[symbol]
        require(before == after, "h", f"mark prices: starts and connections {before} became {after}")


def _of(forms: Sequence[Mapping[str, object]], fault: Fault) -> dict[str, object]:
    # The symbol is chosen by the same number: another part of it.
    return dict(forms[fault.which // 5 % len(forms)])
