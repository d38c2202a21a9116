"""Random plans, entries and cases: mostly sensible, so that allows happen, with anything among it."""

from __future__ import annotations

from decimal import Decimal
from typing import TypeVar

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from brain.case import Case, Rules, SnapshotView
from brain.ledger import StoredLedger
from brain.numbers import plain
from brain.permit import Kind, OpenPermit
from brain.plan import Plan, PlanDecision, Side
from brain.position import Leg, LegPosition
from brain.symbol_rules import SymbolRules
from tests.brain.cases import NOW_MS, RULES

T = TypeVar("T")
STEPS = ("0.001", "0.01", "0.1", "1", "0.5", "10")
ACTIONS = ("FULL_CLOSE_PROPOSED", "PARTIAL_75", "ENTRY_PROPOSED", "", "PARTIAL_50", "CLOSE_FULL", "UPDATE_SL")
ODD_ACTIONS = ("CLOSE_PARTIAL_75", "CLOSE_PARTIAL", "TRIM", "entry_proposed", "FULL\N{SNOWMAN}")


def mostly(usual: SearchStrategy[T], odd: SearchStrategy[T]) -> SearchStrategy[T]:
    """`usual` nine times of ten, so that a case with many parts is sound often enough to be allowed."""
    return st.integers(0, 9).flatmap(lambda draw: odd if draw == 9 else usual)


def quantities(largest: int = 1_000_000) -> SearchStrategy[Decimal]:
    """Contracts, zero included, with up to four decimals."""
    return st.integers(0, largest).map(lambda units: Decimal(units).scaleb(-4))


def any_decimals() -> SearchStrategy[Decimal]:
    """Everything that `parse_decimal` may give."""
    return st.decimals(Decimal(-(10**15)) + 1, Decimal(10**15) - 1, allow_nan=False, places=18)


@st.composite
def plans(draw: st.DrawFn, *, hedge: bool) -> Plan:
    """Well-formed plans of every kind, some contradicting themselves."""
    action = draw(mostly(st.sampled_from(ACTIONS), st.sampled_from(ODD_ACTIONS)))
    entering = action in ("ENTRY_PROPOSED", "")
    asked = quantities().filter(lambda quantity: quantity > 0)
    no_quantity = mostly(st.none(), asked)
    orders = st.sampled_from((Side.SELL, Side.BUY))
    no_leg = st.sampled_from((None, Leg.BOTH))
    legs = st.sampled_from((Leg.LONG, Leg.SHORT))
    return Plan(
        plan_id="plan-1",
        symbol="BTCUSDT",
        decision=draw(mostly(st.just(PlanDecision.EXECUTE), st.just(PlanDecision.RECONCILE_CLOSE))),
        action=action,
        side=draw(mostly(orders, st.sampled_from((Side.CLOSE, None)))),
        quantity=draw(asked if entering else no_quantity),
        reduce_only=draw(mostly(st.just(not entering), st.sampled_from((True, False, None)))),
        leg=draw(mostly(legs, no_leg) if hedge else mostly(no_leg, legs)),
        order_type=draw(mostly(st.just("MARKET"), st.sampled_from(("", "LIMIT")))),
        source="",
        reason=draw(mostly(st.just("reconcile_drift"), st.just(""))),
        eval_type=draw(mostly(st.just(""), st.sampled_from(("ENTRY", "EXIT")))),
        timestamp_sec=draw(mostly(st.none(), st.floats(0, 2e9))),
    )


@st.composite
def snapshot_views(draw: st.DrawFn, *, hedge: bool) -> SnapshotView:
    """Snapshots that are mostly fresh, flat as often as not."""
    amounts = mostly(quantities().map(lambda quantity: quantity + 1), st.just(Decimal(0)))
    entry_price = Decimal(100)
    if hedge:
        legs = (
            LegPosition(Leg.LONG, draw(amounts), entry_price, 1),
            LegPosition(Leg.SHORT, -draw(amounts), entry_price, 1),
        )
    else:
        legs = (LegPosition(Leg.BOTH, draw(amounts) * draw(st.sampled_from((1, -1))), entry_price, 1),)
    age_sec = draw(mostly(st.floats(0, 10), st.floats(0, 1000)))
    return SnapshotView(
        legs, NOW_MS - round(age_sec * 1000), age_sec, draw(mostly(st.just(True), st.booleans()))
    )


@st.composite
def ledgers(draw: st.DrawFn, snapshot: SnapshotView) -> StoredLedger:
    """Ledgers that mostly agree with the snapshot."""
    by_leg = {row.leg: row.amount for row in snapshot.legs}
    hedge = Leg.BOTH not in by_leg
    agreeing = StoredLedger(
        last_known_amt=plain(sum(by_leg.values(), Decimal(0))),
        last_order_id="1",
        last_order_time_epoch=draw(
            st.sampled_from((None, "", str(NOW_MS // 1000 - 60))) | st.integers(NOW_MS // 1000 - 40).map(str)
        ),
        long_amt=plain(by_leg[Leg.LONG]) if hedge else None,
        short_amt=plain(by_leg[Leg.SHORT]) if hedge else None,
    )
    texts = st.none() | st.text(max_size=8) | quantities().map(plain)
    return draw(mostly(st.just(agreeing), st.builds(StoredLedger, texts, texts, texts, texts, texts)))


def open_permits() -> SearchStrategy[tuple[OpenPermit, ...]]:
    """Up to three permits, on any leg, some of them ended."""
    permit = st.builds(
        OpenPermit,
        plan_id=st.just("other"),
        leg=st.sampled_from(Leg),
        kind=st.sampled_from((Kind.OPEN, Kind.ADD, Kind.CLOSE)),
        order_side=st.sampled_from(("BUY", "SELL")),
        remaining=quantities(200_000),
        expires_ms=st.integers(NOW_MS - 1000, NOW_MS + 60_000),
    )
    return mostly(st.just(()), st.lists(permit, max_size=3).map(tuple)) | st.tuples(permit)


@st.composite
def symbol_rules(draw: st.DrawFn) -> SymbolRules:
    step = Decimal(draw(st.sampled_from(STEPS)))
    largest = draw(st.sampled_from((10**6, 1000, 7)))
    return SymbolRules("BTCUSDT", draw(mostly(st.just(True), st.booleans())), step, step, step * largest)


@st.composite
def rules(draw: st.DrawFn) -> Rules:
    return draw(mostly(st.just(RULES), st.just(Rules(0.5, 0, Decimal(0), 1, 60, 1, 0))))


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Cases of every kind. About a fifth of them are allowed."""
    hedge = draw(st.sampled_from((False, False, True)))
    snapshot = draw(snapshot_views(hedge=hedge))
    now_ms = NOW_MS
    return Case(
        plan=draw(plans(hedge=hedge)),
        entry_ms=now_ms - draw(mostly(st.integers(0, 1000), st.integers(-1000, 10_000))),
        now_ms=now_ms,
        settled=draw(mostly(st.just(False), st.booleans())),
        recovering=draw(mostly(st.just(False), st.booleans())),
        in_allowlist=draw(mostly(st.just(True), st.booleans())),
        symbol_rules=draw(mostly(symbol_rules(), st.none())),
        hedge_mode=draw(mostly(st.just(hedge), st.sampled_from((True, False, None)))),
        hold=draw(mostly(st.just(False), st.booleans())),
        snapshot=draw(mostly(st.just(snapshot), st.none())),
        ledger=draw(ledgers(snapshot)),
        cooldown_text=draw(
            mostly(st.none(), st.text(max_size=8) | st.integers(NOW_MS - 60_000, NOW_MS + 60_000).map(str))
        ),
        open_permits=draw(open_permits()),
        rules=draw(rules()),
    )


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
    """Entries of `apply.plan`: a usable beginning, then anything in any field."""
    usable = st.just({b"plan_id": b"plan-1", b"symbol": b"BTCUSDT", b"decision": b"EXECUTE"})
    values = st.sampled_from(_TEXTS) | st.binary(max_size=40) | st.floats().map(lambda n: str(n).encode())
    anything = st.dictionaries(st.sampled_from(_NAMES) | st.binary(max_size=8), values, max_size=12)
    return st.tuples(mostly(usable, st.just({})), anything).map(lambda both: both[0] | both[1])
