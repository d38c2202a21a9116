"""What happens on stage: trades from outside, a liquidation, a lost result, a delisting.

Each event has a symbol of its own, which no strategy trades, and its consequence: hold, repair, call for a
person. A case that is left open stays in `open`: the final accounting expects it, and no other.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

import trio

from commands.demo.intents import with_intents
from commands.demo.machine_load import NotInTimeError, Patience
from commands.demo.outcome import Outcome, allowed, denied, no_plan
from commands.demo.own_governor import with_refusals
from commands.demo.plans import Fields, entry, harvest_exit, reconcile_close
from commands.demo.scenarios import Cooling, PlanToPublish, Scenario, SymbolState, share_of
from commands.demo.trader import Desk, Trader

#: A symbol of the stage begins with so many steps.
POSITION_STEPS = 40
_BY_HAND_STEPS = 20
_PART_STEPS = 2
#: Between its announcement and the end of trading, in which the universe is read once more.
_TRADING_ENDS_SEC = 18.0
_LISTED_WITHIN_SEC = 15.0
_REPAIRED_WITHIN_SEC = 10.0
#: The permit of a lost result explains the difference until its grace is over.
_LOST_WITHIN_SEC = 30.0
_ROUND_SEC = 45.0
_LOOK_SEC = 0.2


@dataclass
class Shown:
    """An event as it is shown: `notes` say what has followed, `over` that nothing more will."""

    began_sec: float
    symbol: str
    title: str
    notes: list[str] = field(default_factory=list)
    over: bool = False
    left_open: bool = False


@dataclass(frozen=True)
class Cue:
    """An event: its time after the start, how long it may last (s), and whether each round has it."""

    at_sec: float
    lasts_sec: float
    play: Callable[[Stage, Shown, Trader], Awaitable[None]]
    trader: int
    title: str
    again: bool = True
    of_engine: bool = True


class Stage:
    """The events, as they are shown, and the differences that are left open by symbol (signed contracts).

    `unfinished`: symbols whose event an interrupt has cut off.
    """

    def __init__(self, desk: Desk, traders: Sequence[Trader], say: Callable[[str], None]) -> None:
        self.desk = desk
        self.traders = traders
        self.events: list[Shown] = []
        self.open: dict[str, Decimal] = {}
        self.unfinished: set[str] = set()
        #: Count of the symbols that the daemon may open.
        self.listed: Callable[[], Awaitable[int]] | None = None
        self._say = say
        self._began_sec = 0.0

    async def run(self, seconds: float | None, interrupted: trio.Event) -> None:
        """Play each event that fits into `seconds` at its time; without them, round after round."""
        self._began_sec = trio.current_time()
        round_sec, first = 0.0, True
        async with trio.open_nursery() as nursery:
            while not interrupted.is_set():
                for cue in CUES:
                    fits = seconds is None or cue.at_sec + cue.lasts_sec <= seconds
                    if fits and (first or cue.again) and self.has_roles_for(cue):
                        nursery.start_soon(self._play, cue, round_sec + cue.at_sec, interrupted)
                if seconds is not None:
                    return
                round_sec, first = round_sec + _ROUND_SEC, False
                with trio.move_on_at(self._began_sec + round_sec):
                    await interrupted.wait()

    def note(self, shown: Shown, text: str) -> None:
        """Add what has followed from an event, with the seconds since its begin."""
        passed_sec = trio.current_time() - self._began_sec - shown.began_sec
        shown.notes.append(f"{text} {passed_sec:.1f}")
        self._say(f"{shown.began_sec:6.1f}s {shown.symbol}: {shown.title}: {text} after {passed_sec:.1f} s")

    def has_roles_for(self, cue: Cue) -> bool:
        """Return True if the daemon has the roles that the event is about."""
        desk = self.desk
        if cue.play is result_lost:
            return desk.own_reconcile and desk.own_executor
        if cue.play is delisting:
            return desk.own_reconcile and self.listed is not None
        return desk.own_reconcile or not cue.of_engine

    async def _play(self, cue: Cue, at_sec: float, interrupted: trio.Event) -> None:
        with trio.move_on_at(self._began_sec + at_sec):
            await interrupted.wait()
            return
        trader = self.traders[cue.trader]
        shown = Shown(trio.current_time() - self._began_sec, trader.symbol.name, cue.title)
        self.events.append(shown)
        async with trio.open_nursery() as nursery:

            async def cut_off() -> None:
                await interrupted.wait()
                self.unfinished.add(shown.symbol)
                nursery.cancel_scope.cancel()

            nursery.start_soon(cut_off)
            try:
                await cue.play(self, shown, trader)
            except NotInTimeError as error:
                self.desk.tally.not_in_time(f"not in time: {cue.title}: {error}")
                self.unfinished.add(shown.symbol)
            nursery.cancel_scope.cancel()
        shown.over, shown.left_open = True, shown.symbol in self.open.keys() | self.unfinished

    async def plan(self, trader: Trader, fields: Fields, expected: Outcome, *also: Outcome) -> None:
        """Publish a plan, or its intent, and follow it to its end: an interrupt waits for that."""
        await self._publish(trader, fields, expected, also, booked=True)

    async def unbooked_plan(self, trader: Trader, fields: Fields, expected: Outcome) -> None:
        """Do the same with a plan whose result the ledger does not get to see."""
        await self._publish(trader, fields, expected, (), booked=False)

    async def _publish(
        self, trader: Trader, fields: Fields, expected: Outcome, also: tuple[Outcome, ...], *, booked: bool
    ) -> None:
        desk, plan = self.desk, PlanToPublish(fields, expected, also=also)
        if desk.own_bridge:
            # The amount is the strategies': the exchange may have another.
            state = SymbolState(trader.symbol, trader.amount, Cooling.UNSURE, trader.in_universe)
            (plan,) = with_intents([plan], state, desk.rng, time.time())
        if desk.own_governor:
            plan = with_refusals(plan, listed=True)
        with trio.CancelScope(shield=True):
            await trader.run_scenario(Scenario("on stage", (plan,)), booked=booked)

    async def repaired(self, shown: Shown, trader: Trader, within_sec: float) -> None:
        """Wait until the ledger has the trader's amount by a repair, and the symbol is released."""
        services, name = self.desk.services, trader.symbol.name
        since = len(self.desk.watcher.record.cases.get(name, ()))
        await self.case(trader, "HOLD_SET", since, within_sec)
        self.note(shown, "held")
        await self.case(trader, "AUTO_REPAIR", since, _REPAIRED_WITHIN_SEC)
        await services.wait_for_amounts(name, ledger=trader.amount, snapshot=trader.amount)
        trader.count_booked()
        self.note(shown, "repaired")
        await services.wait_for_release(name)

    async def case(self, trader: Trader, event: str, since: int, within_sec: float) -> None:
        """Wait for an event of the reconcile engine, beyond the first `since` of the symbol."""
        name, record = trader.symbol.name, self.desk.watcher.record

        def found() -> bool | None:
            events = record.cases.get(name, ())
            return any(each.name == event for each in events[since:]) or None

        await self.desk.watcher.until(name, found, f"{name}: {event}", within_sec)


async def trade_by_hand(stage: Stage, shown: Shown, trader: Trader) -> None:
    """Trade at the exchange's website; a reconcile close removes the difference."""
    desk, own, symbol = stage.desk, trader.amount, trader.symbol
    drift = await _trade(stage, shown, trader)
    side = "SELL" if drift > 0 else "BUY"
    too_much = reconcile_close(symbol, side, abs(trader.amount) + symbol.step, desk.rng, time.time())
    await stage.plan(trader, too_much, denied("guardrail_violation"))
    closing = reconcile_close(symbol, side, abs(drift), desk.rng, time.time())
    await stage.plan(trader, closing, allowed("reconcile_close_bypass", abs(drift)))
    stage.note(shown, "closed")
    if not desk.own_reconcile:
        await desk.services.release_hold(symbol.name)
    await desk.services.wait_for_release(symbol.name)
    if trader.amount == own:
        del stage.open[symbol.name]
        stage.note(shown, "released")


async def trade_left_open(stage: Stage, shown: Shown, trader: Trader) -> None:
    """Trade by hand, and leave the case to the end."""
    await _trade(stage, shown, trader)
    stage.note(shown, "left open")


async def _trade(stage: Stage, shown: Shown, trader: Trader) -> Decimal:
    """Let exchange and ledger disagree until a person is called for; return the difference."""
    desk, symbol, own = stage.desk, trader.symbol, trader.amount
    drift = symbol.step * (_BY_HAND_STEPS if own >= 0 else -_BY_HAND_STEPS)
    stage.open[symbol.name] = drift
    await desk.exchange.move_position(symbol.name, drift)
    trader.amount = own + drift
    await desk.services.wait_for_amounts(symbol.name, ledger=own, snapshot=trader.amount)
    disagreement = "side" if own == 0 else "qty"
    exit_fields = harvest_exit(symbol, "FULL_CLOSE_PROPOSED", desk.rng, time.time())
    held = (denied("reconcile_hold_active"),) if desk.own_reconcile else ()
    await stage.plan(trader, exit_fields, denied(f"reconcile_required_{disagreement}_mismatch"), *held)
    stage.note(shown, "close denied")
    if desk.own_reconcile:
        await desk.services.wait_for_person(symbol.name)
        stage.note(shown, "person called")
    else:
        await desk.services.hold(symbol.name)
        stage.note(shown, "held")
    exit_fields = harvest_exit(symbol, "PARTIAL_50", desk.rng, time.time())
    await stage.plan(trader, exit_fields, denied("reconcile_hold_active"))
    return drift


async def liquidation(stage: Stage, shown: Shown, trader: Trader) -> None:
    """Take a part of the position as the exchange does; the engine books what its trades prove."""
    part = trader.symbol.step * _PART_STEPS
    if abs(trader.amount) <= part:
        return
    change = -part if trader.amount > 0 else part
    await stage.desk.exchange.move_position(trader.symbol.name, change, cause="liquidation")
    trader.amount += change
    await stage.repaired(shown, trader, _REPAIRED_WITHIN_SEC)
    stage.note(shown, "released")


async def result_lost(stage: Stage, shown: Shown, trader: Trader) -> None:
    """Delete an executor's result that P3.3 has not read; the engine books its fill."""
    desk, symbol, record = stage.desk, trader.symbol, stage.desk.watcher.record
    part = symbol.step * _PART_STEPS
    if abs(trader.amount) <= part:
        return
    fields = harvest_exit(symbol, "FULL_CLOSE_PROPOSED", desk.rng, time.time()) | {"close_qty": f"{part:f}"}
    known = set(record.plans)
    lost: list[str] = []
    async with desk.services.lost_results.losing(lost):
        await stage.unbooked_plan(trader, fields, allowed("sanity_checks_passed", part))
        lost += [
            plan.result_id
            for plan_id, plan in record.plans.items()
            if plan_id not in known and plan.plan.get("symbol") == symbol.name and plan.order
        ]
    if not lost:
        raise NotInTimeError(f"{symbol.name}: an order")
    stage.note(shown, "result deleted")
    await stage.repaired(shown, trader, _LOST_WITHIN_SEC)
    stage.note(shown, "released")


async def delisting(stage: Stage, shown: Shown, trader: Trader) -> None:
    """Announce the end of a symbol's trading, and settle its position at that moment."""
    if stage.listed is None:
        raise RuntimeError("the universe is played")
    desk, symbol = stage.desk, trader.symbol
    before, end_sec = await stage.listed(), time.time() + _TRADING_ENDS_SEC
    await desk.exchange.announce_end(symbol.name, round(end_sec * 1000))
    patience = Patience(_LISTED_WITHIN_SEC, desk.meter)
    while symbol.name not in await desk.services.closing() or await stage.listed() >= before:
        if patience.is_over:
            raise NotInTimeError(f"{symbol.name}: the closing list")
        await trio.sleep(_LOOK_SEC)
    stage.note(shown, "closing list")
    side = "BUY" if trader.amount > 0 else "SELL"
    adding = entry(symbol, side, symbol.step * _BY_HAND_STEPS, desk.rng, time.time())
    refused = no_plan("symbol_not_in_universe") if desk.own_bridge else denied("symbol_not_in_allowlist")
    await stage.plan(trader, adding, denied("symbol_not_in_allowlist"), refused)
    stage.note(shown, "add refused")
    half = share_of(abs(trader.amount), 50, symbol.step)
    closing = harvest_exit(symbol, "PARTIAL_50", desk.rng, time.time())
    await stage.plan(trader, closing, allowed("sanity_checks_passed", half))
    stage.note(shown, "half closed")
    await trio.sleep(max(0.0, end_sec - time.time()))
    await desk.exchange.settle(symbol.name)
    trader.amount = Decimal(0)
    await stage.repaired(shown, trader, _REPAIRED_WITHIN_SEC)
    stage.note(shown, "settled")


CUES: tuple[Cue, ...] = (
    Cue(1.0, 8.0, trade_by_hand, 0, "trade by hand", of_engine=False),
    Cue(3.0, 28.0, result_lost, 1, "result lost"),
    Cue(8.0, 28.0, delisting, 2, "delisting", again=False),
    Cue(14.0, 8.0, liquidation, 3, "liquidation"),
    Cue(22.0, 8.0, trade_left_open, 4, "trade by hand", again=False, of_engine=True),
)
