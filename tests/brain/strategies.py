"""Random plans and cases: sound ones, of which a good part is allowed, with up to three disturbances.

Strategies are made once: one that is made inside of another is looked through anew for every example.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from functools import cache
from typing import Any

import msgspec
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from brain.decisions.case import Case, Rules, SnapshotView
from brain.ledger.ledger import StoredLedger
from brain.numbers import EXACT, plain
from brain.plans.permit import Kind, OpenPermit
from brain.plans.plan import Plan, PlanDecision, Side
from brain.positions.position import Leg, LegPosition
from brain.symbols.symbol_rules import SymbolRules
from tests.brain.cases import NOW_MS, RULES, plan

Disturbance = Callable[[Case], Case]
replace = msgspec.structs.replace
ZERO = Decimal(0)
STEPS = ("0.0001", "0.001", "0.01", "0.05", "1", "10")
CLOSING = ("FULL_CLOSE_PROPOSED", "PARTIAL_75", "PARTIAL_50", "CLOSE_FULL")
ENTERING = ("ENTRY_PROPOSED", "")
ODD_ACTIONS = ("UPDATE_SL", "CLOSE_PARTIAL", "TRIM", "entry_proposed", "", "FULL\N{SNOWMAN}", *CLOSING)


@cache
def quantities(largest: int = 1_000_000) -> SearchStrategy[Decimal]:
    """Contracts above zero, with up to four decimals."""
    return st.integers(1, largest).map(lambda units: Decimal(units).scaleb(-4))


def any_decimals() -> SearchStrategy[Decimal]:
    """Everything that `parse_decimal` may give."""
    return st.integers(1 - 10**33, 10**33 - 1).map(lambda units: Decimal(units).scaleb(-18, EXACT))


def epoch_ms_texts() -> SearchStrategy[str]:
    """Times around now, and text that is none."""
    return st.text(max_size=8) | st.integers(NOW_MS - 60_000, NOW_MS + 60_000).map(str)


_CONTRACTS = quantities()
_LEGS = st.sampled_from((Leg.LONG, Leg.SHORT))
_SIDES = st.sampled_from((Side.SELL, Side.BUY))
_WISHES = st.sampled_from(("close", "close", "enter", "enter", "stop"))
_CLOSING = st.sampled_from(CLOSING)
_ENTERING = st.sampled_from(ENTERING)


@st.composite
def sound_plans(draw: st.DrawFn, *, hedge: bool) -> Plan:
    """Plans that do not contradict themselves, if not always their position."""
    leg = draw(_LEGS) if hedge else None
    side, wish = draw(_SIDES), draw(_WISHES)
    if wish == "stop":
        return plan(action="UPDATE_SL", side=side, leg=leg)
    if wish == "close":
        return plan(action=draw(_CLOSING), side=side, leg=leg)
    asked = draw(_CONTRACTS)
    return plan(action=draw(_ENTERING), side=side, quantity=asked, reduce_only=False, leg=leg)


_SIZES = quantities() | quantities().map(lambda size: size + 10) | st.just(ZERO)
_STEPS = st.sampled_from(tuple(map(Decimal, STEPS)))
_STEPS_IN_LARGEST = st.sampled_from((10**6, 7))
_PLANS_OF_MODE = {hedge: sound_plans(hedge=hedge) for hedge in (False, True)}


@st.composite
def sound_cases(draw: st.DrawFn) -> Case:
    """Cases in which exchange and ledger agree and nothing is amiss."""
    hedge = draw(st.booleans())
    long, short = draw(_SIZES), -draw(_SIZES)
    amounts = (
        {Leg.LONG: long, Leg.SHORT: short} if hedge else {Leg.BOTH: draw(st.sampled_from((long, short)))}
    )
    legs = tuple(LegPosition(leg, amount, Decimal(100), 1) for leg, amount in amounts.items())
    step = draw(_STEPS)
    return Case(
        plan=draw(_PLANS_OF_MODE[hedge]),
        entry_ms=NOW_MS - 100,
        now_ms=NOW_MS,
        settled=False,
        redis_changed_ms=0,
        in_allowlist=True,
        symbol_rules=SymbolRules("BTCUSDT", True, step, step, step * draw(_STEPS_IN_LARGEST)),
        hedge_mode=hedge,
        hold=False,
        snapshot=SnapshotView(legs, NOW_MS - 500, 0.5),
        ledger=StoredLedger(
            last_known_amt=plain(sum(amounts.values(), ZERO)),
            long_amt=plain(long) if hedge else None,
            short_amt=plain(short) if hedge else None,
        ),
        cooldown_text=None,
        open_permits=(),
        rules=RULES,
    )


_SOUND = sound_cases()
_RECONCILING = st.sampled_from(("", "RECONCILE", *CLOSING))
_ORDER_TYPES = st.sampled_from(("MARKET", "market"))
_LEDGERS = st.builds(StoredLedger, last_known_amt=st.none() | quantities().map(plain))
_COOLDOWNS = st.none() | epoch_ms_texts()


@st.composite
def reconcile_closes(draw: st.DrawFn) -> Case:
    """Cases of a RECONCILE_CLOSE within its guardrails; the ledger may say what it likes."""
    case = draw(_SOUND)
    assert case.snapshot is not None
    held = [row for row in case.snapshot.legs if row.amount]
    if not held:
        held = [replace(case.snapshot.legs[0], amount=draw(_CONTRACTS))]
        case = replace(case, snapshot=replace(case.snapshot, legs=(*held, *case.snapshot.legs[1:])))
    row = draw(st.sampled_from(held))
    size = row.amount.copy_abs()
    wanted = plan(
        decision=PlanDecision.RECONCILE_CLOSE,
        action=draw(_RECONCILING),
        side=draw(st.sampled_from((Side.SELL if row.amount > 0 else Side.BUY, Side.CLOSE))),
        quantity=draw(st.just(size) | st.integers(1, 100).map(lambda percent: size * percent / 100)),
        leg=None if row.leg is Leg.BOTH else row.leg,
        order_type=draw(_ORDER_TYPES),
        reason="reconcile_drift",
    )
    cooldown = draw(_COOLDOWNS)
    return replace(case, plan=wanted, hold=True, ledger=draw(_LEDGERS), cooldown_text=cooldown)


def open_permits() -> SearchStrategy[tuple[OpenPermit, ...]]:
    """Permits on any leg, some of them ended."""
    permit = st.builds(
        OpenPermit,
        plan_id=st.just("other"),
        leg=st.sampled_from(Leg),
        kind=st.sampled_from((Kind.CLOSE, Kind.OPEN, Kind.ADD)),
        order_side=st.sampled_from(("SELL", "BUY")),
        remaining=quantities(200_000),
        expires_ms=st.integers(NOW_MS - 1000, NOW_MS + 60_000),
    )
    return st.lists(permit, min_size=1, max_size=3).map(tuple)


_TEXT = st.none() | st.text(max_size=8) | quantities().map(plain) | quantities().map(lambda q: plain(-q))
_IN_PLAN: dict[str, SearchStrategy[Any]] = {
    "action": st.sampled_from(ODD_ACTIONS),
    "side": st.sampled_from((*Side, None)),
    "quantity": st.none() | quantities(),
    "reduce_only": st.sampled_from((True, False, None)),
    "leg": st.sampled_from((*Leg, None)),
    "eval_type": st.sampled_from(("ENTRY", "EXIT")),
    "timestamp_sec": st.floats(0, 2e9),
}
_IN_CASE: dict[str, SearchStrategy[Any]] = {
    "entry_ms": st.integers(NOW_MS - 10_000, NOW_MS + 1000),
    "settled": st.just(True),
    "redis_changed_ms": st.integers(NOW_MS - 120_000, NOW_MS),
    "in_allowlist": st.just(False),
    "symbol_rules": st.none()
    | st.just(SymbolRules("BTCUSDT", False, Decimal("0.01"), Decimal("0.05"), Decimal(1))),
    "hedge_mode": st.sampled_from((True, False, None)),
    "hold": st.just(True),
    "snapshot": st.none(),
    "exchange_known": st.just(False),
    "ledger": st.builds(StoredLedger, _TEXT, _TEXT, _TEXT, _TEXT, _TEXT),
    "cooldown_text": epoch_ms_texts(),
    "open_permits": open_permits(),
    "rules": st.just(Rules(0.5, 0, Decimal(0), 1, 60, 1, 0)),
}


def _disturbance(name: str, values: SearchStrategy[Any], *, in_plan: bool) -> SearchStrategy[Disturbance]:
    def disturb(value: Any) -> Disturbance:
        if in_plan:
            return lambda case: replace(case, plan=replace(case.plan, **{name: value}))
        return lambda case: replace(case, **{name: value})

    return values.map(disturb)


def _age(age_sec: float) -> Disturbance:
    def disturb(case: Case) -> Case:
        snapshot = case.snapshot and replace(case.snapshot, age_sec=age_sec, trusted=age_sec < 900)
        return replace(case, snapshot=snapshot)

    return disturb


def _reconcile_close(quantity: Decimal) -> Disturbance:
    def disturb(case: Case) -> Case:
        wanted = replace(
            case.plan,
            decision=PlanDecision.RECONCILE_CLOSE,
            action="",
            quantity=quantity,
            reduce_only=True,
            reason="reconcile_drift",
        )
        return replace(case, plan=wanted, hold=True)

    return disturb


DISTURBANCES: SearchStrategy[Disturbance] = st.one_of(
    *(_disturbance(name, values, in_plan=True) for name, values in _IN_PLAN.items()),
    *(_disturbance(name, values, in_plan=False) for name, values in _IN_CASE.items()),
    *(st.floats(0, 1000).map(_age), quantities(10_000).map(_reconcile_close)),
)


_UNDISTURBED = st.one_of(_SOUND, _SOUND, _SOUND, reconcile_closes())
_DISTURBED = st.lists(DISTURBANCES, max_size=3)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Cases of every kind. About a quarter of them are allowed."""
    case = draw(_UNDISTURBED)
    for disturb in draw(_DISTURBED):
        case = disturb(case)
    return case


_NAMES = (
    *(b"plan_id", b"symbol", b"decision", b"action", b"side", b"type", b"qty", b"close_qty", b"reduceOnly"),
    *(b"positionSide", b"source", b"price", b"reason", b"timestamp", b"eval_type", b"leverage", b"stop_loss"),
)
_TEXTS = (
    *(b"EXECUTE", b"RECONCILE_CLOSE", b"SKIP", b"ENTRY_PROPOSED", b"PARTIAL_75", b"BUY", b"SELL", b"CLOSE"),
    *(b"LONG", b"true", b"False", b"1", b"0", b"-1", b"NaN", b"inf", b"1e5", b"1e-05", b"1e999", b"None"),
    *(b"0.0018408917647709654", b"MARKET", b"ENTRY", b"p33:x", b"BTCUSDT"),
)


def plan_fields() -> SearchStrategy[dict[bytes, bytes]]:
    """Entries of `apply.plan`: mostly a usable beginning, then anything in any field."""
    usable = {b"plan_id": b"plan-1", b"symbol": b"BTCUSDT", b"decision": b"EXECUTE"}
    values = st.sampled_from(_TEXTS) | st.binary(max_size=40) | st.floats().map(lambda n: str(n).encode())
    anything = st.dictionaries(st.sampled_from(_NAMES) | st.binary(max_size=8), values, max_size=12)
    return st.tuples(st.sampled_from((usable, {})), anything).map(lambda both: both[0] | both[1])
