"""The catalog of scenarios by the state of a symbol.

A scenario depends on the symbol's state, a random generator and the time; `CASES` lists all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from random import Random
from typing import NamedTuple, TypeAlias

from brain.governor.reasons import GovernorReason
from commands.demo.drafts import Draft
from commands.demo.intents import exit_intent, with_intents
from commands.demo.keys import EXITS
from commands.demo.outcome import (
    UNANSWERED,
    Outcome,
    allowed,
    denied,
    no_plan,
    refused,
    refused_by_governor,
)
from commands.demo.own_governor import with_refusals
from commands.demo.plans import Fields, reconcile_close
from commands.demo.scenarios import Cooling, Governor, PlanToPublish, Scenario, SymbolState, share_of

_OLD_SEC = 7200
_GREAT_NOTIONAL = Decimal(2000)
_LOW_SCORE = "0.2000"
_INTENTS_A_PLAN = 6


_Build: TypeAlias = Callable[[Draft], tuple[PlanToPublish, ...]]
_When: TypeAlias = Callable[[SymbolState], bool]


class Case(NamedTuple):
    """One line of the catalog: weight, fitting states (`cooling` None: in any), and plans.

    `played`: with the demo's Governor alone (True), with the daemon's alone (False), or with both. `bridged`:
    only with the daemon's intent bridge. `by_plan`: no intent can mean it; few publishers write
    plans where the bridge is.
    """

    name: str
    weight: int
    when: _When
    build: _Build
    hold: bool = False
    cooling: Cooling | None = None
    played: bool | None = None
    bridged: bool = False
    by_plan: bool = False


def choose(
    state: SymbolState, rng: Random, now_sec: float, *, own_governor: bool = False, own_bridge: bool = False
) -> Scenario:
    """Choose a scenario that fits the state; `now_sec` is the wall clock (epoch seconds).

    `own_governor`, `own_bridge`: the daemon's judges the plans, or makes them of intents.
    """
    fitting = [
        case
        for case in CASES
        if case.when(state)
        and case.cooling in (None, state.cooling)
        and case.played in (None, not own_governor)
        and (own_bridge or not case.bridged)
    ]
    of_intents = _INTENTS_A_PLAN if own_bridge else 1
    weights = [case.weight * (1 if case.by_plan else of_intents) for case in fitting]
    case = rng.choices(fitting, weights)[0]
    plans = case.build(Draft(state, rng, now_sec))
    if own_bridge:
        plans = with_intents(plans, state, rng, now_sec)
    if own_governor:
        plans = tuple(with_refusals(plan, listed=state.listed) for plan in plans)
    return Scenario(case.name, plans, case.hold)


def _any(_: SymbolState) -> bool:
    return True


def _flat(state: SymbolState) -> bool:
    return state.amount == 0 and state.in_universe and state.listed


def _held(state: SymbolState) -> bool:
    return state.amount != 0


def _may_grow(state: SymbolState) -> bool:
    small = abs(state.amount) * state.symbol.price < _GREAT_NOTIONAL
    return _held(state) and state.in_universe and small


def _in_universe(state: SymbolState) -> bool:
    return state.in_universe and state.listed


def _outside_flat(state: SymbolState) -> bool:
    return not state.in_universe and state.amount == 0


def _one(
    fields: Fields, expected: Outcome, governor: Governor = Governor.GRANTS
) -> tuple[PlanToPublish, ...]:
    return (PlanToPublish(fields, expected, governor),)


def _open(
    draft: Draft, expected: Outcome, governor: Governor = Governor.GRANTS, **changes: str
) -> tuple[PlanToPublish, ...]:
    side = draft.rng.choice(("BUY", "SELL"))
    fields = draft.entry(side, draft.some_quantity(), eval_type="ENTRY", **changes)
    return _one(fields, expected, governor)


def _add(draft: Draft, expected: Outcome) -> tuple[PlanToPublish, ...]:
    along = "BUY" if draft.state.amount > 0 else "SELL"
    return _one(draft.entry(along, draft.some_quantity()), expected)


def _close_share(percent: int, *actions: str) -> _Build:
    def build(draft: Draft) -> tuple[PlanToPublish, ...]:
        side = draft.rng.choice(("CLOSE", draft.side))
        quantity = share_of(draft.size, percent, draft.state.symbol.step)
        return _one(draft.exit(draft.rng.choice(actions), side=side), _close_of(draft, quantity))

    return build


def _close_of(draft: Draft, quantity: Decimal) -> Outcome:
    if quantity < draft.state.symbol.smallest:
        return denied("below_min_qty")
    return allowed("sanity_checks_passed", quantity)


def _explicit_close(draft: Draft) -> tuple[PlanToPublish, ...]:
    """Close by a quantity off the step size, with an action that would close more."""
    step = draft.state.symbol.step
    asked = draft.size * Decimal("0.6") + step / 3
    quantity = share_of(min(asked, draft.size), 100, step)
    return _one(draft.exit("FULL_CLOSE_PROPOSED", close_qty=f"{asked:.12f}"), _close_of(draft, quantity))


def _close_by_entry(draft: Draft) -> tuple[PlanToPublish, ...]:
    """Close as the intent bridge does: an order against the position, not reduce-only."""
    quantity = share_of(draft.size, draft.rng.choice((40, 100)), draft.state.symbol.step)
    fields = draft.entry(draft.side, max(quantity, draft.state.symbol.step), eval_type="EXIT")
    return _one(fields, allowed("sanity_checks_passed", max(quantity, draft.state.symbol.step)))


def _two_closes(draft: Draft) -> tuple[PlanToPublish, ...]:
    """Close the position twice at the same moment, as two services do: one is allowed."""
    return (
        *_one(draft.exit("FULL_CLOSE_PROPOSED"), _close_of(draft, draft.size)),
        *_one(draft.exit("CLOSE_FULL"), denied("in_flight_permit")),
    )


def _shared_close(draft: Draft) -> tuple[PlanToPublish, ...]:
    """Close a half and the whole at the same moment: together they never close more than the position."""
    half = share_of(draft.size, 50, draft.state.symbol.step)
    return (
        *_one(draft.exit("PARTIAL_50"), _close_of(draft, half)),
        *_one(draft.exit("FULL_CLOSE_PROPOSED"), _close_of(draft, draft.size - half)),
    )


def _published_twice(draft: Draft) -> tuple[PlanToPublish, ...]:
    """Publish one exit twice, as a publisher does that has seen no answer: one plan is made of it."""
    quantity = share_of(draft.size, 50, draft.state.symbol.step) or draft.size
    fields = draft.exit("FULL_CLOSE_PROPOSED", close_qty=f"{quantity:f}")
    intent = exit_intent(fields, EXITS, draft.rng)
    again = PlanToPublish(fields, no_plan("duplicate_intent"), intent=intent)
    return (PlanToPublish(fields, _close_of(draft, quantity), intent=intent), again)


def _two_opens(draft: Draft) -> tuple[PlanToPublish, ...]:
    """Open twice at the same moment. A Governor that refused the first would free the second's way."""
    opening = allowed("open_permit_granted", Decimal(0))
    return (
        *_open(draft, opening, kill_score=_LOW_SCORE),
        *_open(draft, denied("in_flight_permit"), kill_score=_LOW_SCORE),
    )


def _critical(draft: Draft) -> tuple[PlanToPublish, ...]:
    """Open with a kill score that is critical in itself."""
    side = draft.rng.choice(("BUY", "SELL"))
    score = f"{draft.rng.uniform(0.8, 1):.4f}"
    fields = draft.entry(side, draft.some_quantity(), eval_type="ENTRY", kill_score=score)
    return _one(fields, refused_by_governor(GovernorReason.KILL_SCORE_CRITICAL_OPEN))


def _full_close(expected: Outcome) -> _Build:
    return lambda draft: _one(draft.exit("FULL_CLOSE_PROPOSED"), expected)


def _opening(expected: Outcome, governor: Governor = Governor.GRANTS) -> _Build:
    return lambda draft: _open(draft, expected, governor)


def _flip(draft: Draft) -> tuple[PlanToPublish, ...]:
    too_much = draft.size + draft.state.symbol.step
    return _one(draft.entry(draft.side, too_much), denied("would_flip_position"))


def _wrong_side(draft: Draft) -> tuple[PlanToPublish, ...]:
    along = "BUY" if draft.state.amount > 0 else "SELL"
    return _one(draft.exit("FULL_CLOSE_PROPOSED", side=along), denied("reduce_only_side_mismatch"))


def _too_small(draft: Draft) -> tuple[PlanToPublish, ...]:
    return _one(draft.entry("BUY", draft.state.symbol.step / 2), denied("below_min_qty"))


def _malformed(draft: Draft) -> tuple[PlanToPublish, ...]:
    fields = draft.rng.choice(
        (
            draft.entry("BUY", None),
            draft.entry("BUY", Decimal(1), qty="NaN"),
            draft.entry("BUY", Decimal(1), qty="-1"),
            draft.entry("HODL", Decimal(1)),
            draft.entry("BUY", Decimal(1), reduceOnly="maybe"),
            draft.exit("FULL_CLOSE_PROPOSED", reduceOnly="false"),
            draft.exit("UPDATE_SL", close_qty="1"),
        )
    )
    return _one(fields, denied("malformed_plan"))


def _expired(draft: Draft) -> tuple[PlanToPublish, ...]:
    old = f"{draft.now_sec - _OLD_SEC:.0f}"
    return _one(draft.exit("PARTIAL_75", timestamp=old), denied("plan_expired"))


def _skipped(draft: Draft) -> tuple[PlanToPublish, ...]:
    decision = draft.rng.choice(("SKIP", "BLOCKED", "HOLD"))
    fields = draft.exit("PARTIAL_50", decision=decision)
    return _one(fields, UNANSWERED)


def _unguarded(draft: Draft) -> tuple[PlanToPublish, ...]:
    """Publish a reconcile close though the symbol is not held."""
    symbol = draft.state.symbol
    fields = reconcile_close(symbol, draft.side, symbol.step, draft.rng, draft.now_sec)
    return _one(fields, denied("guardrail_violation"))


_GRANTED = allowed("open_permit_granted", Decimal(0))
_VETO = refused("permit_denied (Governor: daily_loss_limit)")
_NO_GOVERNOR = refused("permit_timeout (missing: Governor)")

# fmt: off
CASES: tuple[Case, ...] = (
    Case("open", 24, _flat, _opening(_GRANTED), cooling=Cooling.NO),
    Case("open, the Governor denies", 2, _flat, _opening(_VETO, Governor.DENIES), cooling=Cooling.NO,
         played=True),
    Case("open, no Governor", 1, _flat, _opening(_NO_GOVERNOR, Governor.IS_SILENT), cooling=Cooling.NO,
         played=True),
    Case("open at a critical kill score", 2, _flat, _critical, cooling=Cooling.NO, played=False),
    Case("two opens at once", 2, _flat, _two_opens, cooling=Cooling.NO),
    Case("open below the step", 2, _flat, _too_small, cooling=Cooling.NO),
    Case("open while cooling", 8, _flat, _opening(denied("cooldown_in_flight")), cooling=Cooling.YES),
    Case("close of nothing", 3, _flat, _full_close(denied("no_position"))),
    Case("stop loss of nothing", 1, _flat, lambda s: _one(
        s.exit("UPDATE_SL"), denied("no_position")), by_plan=True),

    Case("add", 5, _may_grow, lambda s: _add(s, _GRANTED), cooling=Cooling.NO),
    Case("full close", 8, _held, _close_share(100, "FULL_CLOSE_PROPOSED", "CLOSE_FULL"), cooling=Cooling.NO),
    Case("partial 75", 6, _held, _close_share(75, "PARTIAL_75", "CLOSE_PARTIAL_75"), cooling=Cooling.NO),
    Case("partial 50", 6, _held, _close_share(50, "PARTIAL_50", "CLOSE_PARTIAL_50"), cooling=Cooling.NO),
    Case("explicit quantity", 4, _held, _explicit_close, cooling=Cooling.NO),
    Case("close by the intent bridge", 4, _held, _close_by_entry, cooling=Cooling.NO),
    Case("two full closes at once", 4, _held, _two_closes, cooling=Cooling.NO),
    Case("half and whole at once", 3, _held, _shared_close, cooling=Cooling.NO),
    Case("one exit published twice", 3, _held, _published_twice, cooling=Cooling.NO, bridged=True),
    Case("close while cooling", 8, _held, _full_close(denied("cooldown_in_flight")), cooling=Cooling.YES),
    Case("stop loss update", 3, _held, lambda s: _one(
        s.exit("UPDATE_SL"), allowed("no_quantity_change", Decimal(0))), by_plan=True),
    Case("close on the wrong side", 2, _held, _wrong_side, by_plan=True),
    Case("close beyond the position", 2, _held, _flip),
    Case("close by an unknown action", 2, _held, lambda s: _one(
        s.exit("TRIM"), denied("unknown_action")), by_plan=True),

    Case("malformed", 1, _any, _malformed),
    Case("published again after two hours", 1, _any, _expired, by_plan=True),
    Case("nothing to execute", 1, _any, _skipped, by_plan=True),
    Case("open during a hold", 1, _in_universe, _opening(denied("reconcile_hold_active")), hold=True),
    Case("reconcile close without a hold", 1, _in_universe, _unguarded, by_plan=True),

    Case("open outside the universe", 6, _outside_flat, _opening(denied("symbol_not_in_allowlist"))),
    Case("close of nothing outside the universe", 2, _outside_flat,
         _full_close(denied("symbol_not_in_allowlist"))),
    Case("add outside the universe", 4, lambda s: not s.in_universe and _held(s),
         lambda s: _add(s, denied("symbol_not_in_allowlist"))),
    Case("open what is not listed", 6, lambda s: not s.listed and s.in_universe,
         _opening(denied("symbol_not_on_exchange"))),
)
# fmt: on
