"""The repertoire: what can be tried with a symbol as it stands.

Everything here is a function of the symbol's state, a random generator and the time; `CASES` is all of it.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from random import Random
from typing import NamedTuple, TypeAlias

from commands.demo.outcome import Outcome, allowed, denied, refused
from commands.demo.plans import Fields, entry, harvest_exit, reconcile_close
from commands.demo.scenarios import Cooling, Governor, PlanToPublish, Scenario, SymbolState, share_of

_OLD_SEC = 7200
_SMALL_NOTIONAL, _GREAT_NOTIONAL = Decimal(60), Decimal(2000)
_FEWEST_STEPS = 12


class _Stage(NamedTuple):
    """What a case is made from."""

    state: SymbolState
    rng: Random
    now_sec: float

    @property
    def side(self) -> str:
        """The order side that reduces the position."""
        return "SELL" if self.state.amount > 0 else "BUY"

    @property
    def size(self) -> Decimal:
        return abs(self.state.amount)

    def entry(self, side: str, quantity: Decimal | None, **changes: str) -> Fields:
        return entry(self.state.symbol, side, quantity, self.rng, self.now_sec) | changes

    def exit(self, action: str, **changes: str) -> Fields:
        return harvest_exit(self.state.symbol, action, self.rng, self.now_sec) | changes

    def some_quantity(self) -> Decimal:
        """Enough for the exchange's least notional, and small enough to be added to a few times."""
        step = self.state.symbol.step
        least = max(_FEWEST_STEPS, int(_SMALL_NOTIONAL / self.state.symbol.price / step) + 1)
        return step * self.rng.randint(least, 3 * least)


_Build: TypeAlias = Callable[[_Stage], tuple[PlanToPublish, ...]]
_When: TypeAlias = Callable[[SymbolState], bool]


class Case(NamedTuple):
    """One line of the repertoire: how often, in which states, and which plans."""

    name: str
    weight: int
    when: _When
    build: _Build
    hold: bool = False


def choose(state: SymbolState, rng: Random, now_sec: float) -> Scenario:
    """A scenario that fits the state; `now_sec` is the wall clock (epoch seconds)."""
    fitting = [case for case in CASES if case.when(state)]
    case = rng.choices(fitting, [case.weight for case in fitting])[0]
    return Scenario(case.name, case.build(_Stage(state, rng, now_sec)), case.hold)


def _any(_: SymbolState) -> bool:
    return True


def _flat(state: SymbolState) -> bool:
    return state.amount == 0 and state.in_universe and state.listed


def _held(state: SymbolState) -> bool:
    return state.amount != 0


def _tradable_flat(state: SymbolState) -> bool:
    return _flat(state) and state.cooling is Cooling.NO


def _tradable_held(state: SymbolState) -> bool:
    return _held(state) and state.cooling is Cooling.NO


def _may_grow(state: SymbolState) -> bool:
    small = abs(state.amount) * state.symbol.price < _GREAT_NOTIONAL
    return _tradable_held(state) and state.in_universe and small


def _cooling_flat(state: SymbolState) -> bool:
    return _flat(state) and state.cooling is Cooling.YES


def _cooling_held(state: SymbolState) -> bool:
    return _held(state) and state.cooling is Cooling.YES


def _in_universe(state: SymbolState) -> bool:
    return state.in_universe and state.listed


def _outside_flat(state: SymbolState) -> bool:
    return not state.in_universe and state.amount == 0


def _outside_held(state: SymbolState) -> bool:
    return not state.in_universe and state.amount != 0


def _unlisted(state: SymbolState) -> bool:
    return not state.listed


def _one(
    fields: Fields, expected: Outcome, governor: Governor = Governor.GRANTS
) -> tuple[PlanToPublish, ...]:
    from_intent = "confidence" in fields and bool(fields["symbol"])
    return (PlanToPublish(fields, expected, governor, from_intent),)


def _open(
    stage: _Stage, expected: Outcome, governor: Governor = Governor.GRANTS
) -> tuple[PlanToPublish, ...]:
    side = stage.rng.choice(("BUY", "SELL"))
    return _one(stage.entry(side, stage.some_quantity(), eval_type="ENTRY"), expected, governor)


def _add(stage: _Stage, expected: Outcome) -> tuple[PlanToPublish, ...]:
    along = "BUY" if stage.state.amount > 0 else "SELL"
    return _one(stage.entry(along, stage.some_quantity()), expected)


def _close_share(percent: int, *actions: str) -> _Build:
    def build(stage: _Stage) -> tuple[PlanToPublish, ...]:
        side = stage.rng.choice(("CLOSE", stage.side))
        quantity = share_of(stage.size, percent, stage.state.symbol.step)
        return _one(stage.exit(stage.rng.choice(actions), side=side), _close_of(stage, quantity))

    return build


def _close_of(stage: _Stage, quantity: Decimal) -> Outcome:
    if quantity < stage.state.symbol.smallest:
        return denied("below_min_qty")
    return allowed("sanity_checks_passed", quantity)


def _explicit_close(stage: _Stage) -> tuple[PlanToPublish, ...]:
    """A quantity of its own, not on the step, beside an action that would mean more."""
    step = stage.state.symbol.step
    asked = stage.size * Decimal("0.6") + step / 3
    quantity = share_of(min(asked, stage.size), 100, step)
    return _one(stage.exit("FULL_CLOSE_PROPOSED", close_qty=f"{asked:.12f}"), _close_of(stage, quantity))


def _close_by_entry(stage: _Stage) -> tuple[PlanToPublish, ...]:
    """The intent bridge closes with an order against the position, not reduce-only."""
    quantity = share_of(stage.size, stage.rng.choice((40, 100)), stage.state.symbol.step)
    fields = stage.entry(stage.side, max(quantity, stage.state.symbol.step), eval_type="EXIT")
    return _one(fields, allowed("sanity_checks_passed", max(quantity, stage.state.symbol.step)))


def _two_closes(stage: _Stage) -> tuple[PlanToPublish, ...]:
    """Two services close the same position at the same moment: one of them gets it."""
    return (
        *_one(stage.exit("FULL_CLOSE_PROPOSED"), _close_of(stage, stage.size)),
        *_one(stage.exit("CLOSE_FULL"), denied("in_flight_permit")),
    )


def _shared_close(stage: _Stage) -> tuple[PlanToPublish, ...]:
    """A half and the whole at the same moment: together they never close more than there is."""
    half = share_of(stage.size, 50, stage.state.symbol.step)
    return (
        *_one(stage.exit("PARTIAL_50"), _close_of(stage, half)),
        *_one(stage.exit("FULL_CLOSE_PROPOSED"), _close_of(stage, stage.size - half)),
    )


def _two_opens(stage: _Stage) -> tuple[PlanToPublish, ...]:
    opening = allowed("open_permit_granted", Decimal(0))
    return (*_open(stage, opening), *_open(stage, denied("in_flight_permit")))


def _full_close(expected: Outcome) -> _Build:
    return lambda stage: _one(stage.exit("FULL_CLOSE_PROPOSED"), expected)


def _opening(expected: Outcome, governor: Governor = Governor.GRANTS) -> _Build:
    return lambda stage: _open(stage, expected, governor)


def _flip(stage: _Stage) -> tuple[PlanToPublish, ...]:
    too_much = stage.size + stage.state.symbol.step
    return _one(stage.entry(stage.side, too_much), denied("would_flip_position"))


def _wrong_side(stage: _Stage) -> tuple[PlanToPublish, ...]:
    along = "BUY" if stage.state.amount > 0 else "SELL"
    return _one(stage.exit("FULL_CLOSE_PROPOSED", side=along), denied("reduce_only_side_mismatch"))


def _too_small(stage: _Stage) -> tuple[PlanToPublish, ...]:
    return _one(stage.entry("BUY", stage.state.symbol.step / 2), denied("below_min_qty"))


def _malformed(stage: _Stage) -> tuple[PlanToPublish, ...]:
    fields = stage.rng.choice(
        (
            stage.entry("BUY", None),
            stage.entry("BUY", Decimal(1), qty="NaN"),
            stage.entry("BUY", Decimal(1), qty="-1"),
            stage.entry("HODL", Decimal(1)),
            stage.entry("BUY", Decimal(1), reduceOnly="maybe"),
            stage.exit("FULL_CLOSE_PROPOSED", reduceOnly="false"),
            stage.exit("UPDATE_SL", close_qty="1"),
        )
    )
    return _one(fields, denied("malformed_plan"))


def _expired(stage: _Stage) -> tuple[PlanToPublish, ...]:
    old = f"{stage.now_sec - _OLD_SEC:.0f}"
    return _one(stage.exit("PARTIAL_75", timestamp=old), denied("plan_expired"))


def _skipped(stage: _Stage) -> tuple[PlanToPublish, ...]:
    decision = stage.rng.choice(("SKIP", "BLOCKED", "HOLD"))
    fields = stage.exit("PARTIAL_50", decision=decision)
    return _one(fields, refused("permit_timeout (missing: P3.3)"))


def _unguarded(stage: _Stage) -> tuple[PlanToPublish, ...]:
    """A reconcile close though nobody holds the symbol."""
    symbol = stage.state.symbol
    fields = reconcile_close(symbol, stage.side, symbol.step, stage.rng, stage.now_sec)
    return _one(fields, denied("guardrail_violation"))


_GRANTED = allowed("open_permit_granted", Decimal(0))
_VETO = refused("permit_denied (Governor: daily_loss_limit)")
_NO_GOVERNOR = refused("permit_timeout (missing: Governor)")

# fmt: off
CASES: tuple[Case, ...] = (
    Case("open", 24, _tradable_flat, _opening(_GRANTED)),
    Case("open, the Governor denies", 2, _tradable_flat, _opening(_VETO, Governor.DENIES)),
    Case("open, no Governor", 1, _tradable_flat, _opening(_NO_GOVERNOR, Governor.IS_SILENT)),
    Case("two opens at once", 2, _tradable_flat, _two_opens),
    Case("open below the step", 2, _tradable_flat, _too_small),
    Case("open while cooling", 8, _cooling_flat, _opening(denied("cooldown_in_flight"))),
    Case("close of nothing", 3, _flat, _full_close(denied("no_position"))),
    Case("stop loss of nothing", 1, _flat, lambda s: _one(s.exit("UPDATE_SL"), denied("no_position"))),

    Case("add", 5, _may_grow, lambda s: _add(s, _GRANTED)),
    Case("full close", 8, _tradable_held, _close_share(100, "FULL_CLOSE_PROPOSED", "CLOSE_FULL")),
    Case("partial 75", 6, _tradable_held, _close_share(75, "PARTIAL_75", "CLOSE_PARTIAL_75")),
    Case("partial 50", 6, _tradable_held, _close_share(50, "PARTIAL_50", "CLOSE_PARTIAL_50")),
    Case("explicit quantity", 4, _tradable_held, _explicit_close),
    Case("close by the intent bridge", 4, _tradable_held, _close_by_entry),
    Case("two full closes at once", 4, _tradable_held, _two_closes),
    Case("half and whole at once", 3, _tradable_held, _shared_close),
    Case("close while cooling", 8, _cooling_held, _full_close(denied("cooldown_in_flight"))),
    Case("stop loss update", 3, _held, lambda s: _one(
        s.exit("UPDATE_SL"), allowed("no_quantity_change", Decimal(0)))),
    Case("close on the wrong side", 2, _held, _wrong_side),
    Case("close beyond the position", 2, _held, _flip),
    Case("close by an unknown action", 2, _held, lambda s: _one(s.exit("TRIM"), denied("unknown_action"))),

    Case("malformed", 1, _any, _malformed),
    Case("published again after two hours", 1, _any, _expired),
    Case("nothing to execute", 1, _any, _skipped),
    Case("open during a hold", 1, _in_universe, _opening(denied("reconcile_hold_active")), hold=True),
    Case("reconcile close without a hold", 1, _in_universe, _unguarded),

    Case("open outside the universe", 6, _outside_flat, _opening(denied("symbol_not_in_allowlist"))),
    Case("close of nothing outside the universe", 2, _outside_flat,
         _full_close(denied("symbol_not_in_allowlist"))),
    Case("add outside the universe", 4, _outside_held, lambda s: _add(s, denied("symbol_not_in_allowlist"))),
    Case("open what is not listed", 6, _unlisted, _opening(denied("symbol_not_on_exchange"))),
)
# fmt: on
