"""The reconcile engine in `/status`, among the roles of the page, and in the page's headline and section."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec
import pytest
import structlog

import settings
from actors.reconcile_engine.other_engines import another_engine_text
from brain.identifiers import ClientOrderId, FencingToken, OrderId, Symbol
from brain.positions.position import Leg
from brain.reconciliation.drift import Drift, DriftReason, LegAmounts
from brain.reconciliation.evidence import Growth
from brain.reconciliation.rules import DriftCause
from channels import Channels, Lease, OpenCase, ReconcileNow
from clocks.clocks import Clocks
from monitoring.metrics.registry import MetricRegistry
from monitoring.page_view.reconcile import page_reconcile
from monitoring.page_view.roles import page_roles
from monitoring.status.document import RolesShown
from monitoring.status.reconcile import ReconcileShown, reconcile_problems, with_a_case
from monitoring.status.roles import RolesSource
from page.tone import Tone
from tests.monitoring.status_rig import NOON_MS, SetClock

BTC = Symbol("BTCUSDT")


def growth(number: int = 7, **changes: Any) -> Growth:
    usual = Growth(
        order_id=OrderId(str(number)),
        client_order_id=ClientOrderId("web_x"),
        cause=DriftCause.MANUAL,
        leg=Leg.BOTH,
        side="SELL",
        quantity=Decimal("0.010"),
        cumulative=Decimal("0.010"),
        time_ms=NOON_MS - 20_000,
        trade_ids=(1, 2),
    )
    return msgspec.structs.replace(usual, **changes)


def drift(symbol: Symbol = BTC, *legs: LegAmounts, **changes: Any) -> Drift:
    usual = Drift(
        symbol=symbol,
        reason=DriftReason.QTY_MISMATCH,
        legs=legs or (LegAmounts(Leg.BOTH, Decimal("0.040"), Decimal("0.050")),),
        exceeds=True,
        version="4",
    )
    return msgspec.structs.replace(usual, **changes)


def case(symbol: str = "BTCUSDT", **changes: Any) -> OpenCase:
    usual = OpenCase(
        symbol=Symbol(symbol),
        status="MANUAL_REQUIRED",
        cause="manual",
        drift=drift(Symbol(symbol)),
        since_ms=NOON_MS - 90_000,
        held=True,
        held_by=None,
        found=(growth(),),
        why="an order moved it",
        advice="accept it",
        looks=3,
        next_look_sec=41.0,
    )
    return msgspec.structs.replace(usual, **changes)


def now(*cases: OpenCase, **changes: Any) -> ReconcileNow:
    usual = ReconcileNow(cases=cases, weight_1m=10, weight_per_min=60, compared=5)
    return msgspec.structs.replace(usual, **changes)


def roles(
    state: ReconcileNow | None,
    environ: Mapping[str, str] | None = None,
    *,
    held: bool = True,
    waits: Sequence[tuple[str, str]] = (),
) -> RolesShown | msgspec.UnsetType:
    own = settings.load(environ if environ is not None else {"P33_RECONCILE": "on"}).settings
    clocks = Clocks(SetClock())
    channels = Channels(1, reconcile=own.reconcile != "off")
    channels.lease.send(Lease(FencingToken("7") if held else None, "here"))
    if channels.reconcile is not None and state is not None:
        channels.reconcile.send(state)
    registry = MetricRegistry(channels, clocks, structlog.get_logger())
    return RolesSource(own, channels, clocks, registry).shown(waits)


def shown(state: ReconcileNow | None, mode: str = "on", *, held: bool = True) -> ReconcileShown:
    found = roles(state, {"P33_RECONCILE": mode}, held=held)
    assert isinstance(found, RolesShown) and isinstance(found.reconcile, ReconcileShown)
    return found.reconcile


def test_an_engine_that_is_off_is_not_mentioned() -> None:
    assert roles(None, {}) is msgspec.UNSET
    assert page_reconcile(msgspec.UNSET) is None


@pytest.mark.parametrize(
    ("state", "doing", "tone"),
    [
        (None, "waits for ledgers and symbols to compare", Tone.ASIDE),
        (now(), "compares 5 symbols, no open cases", Tone.GOOD),
        (now(case(status="HOLD")), "compares 5 symbols, 1 open case", Tone.WATCH),
        (
            now(case(), case("ETHUSDT", status="HOLD")),
            "compares 5 symbols, 2 open cases, 1 of them for a person",
            Tone.BAD,
        ),
    ],
)
def test_it_says_how_many_cases_are_open_and_how_many_need_a_person(
    state: ReconcileNow | None, doing: str, tone: Tone
) -> None:
    found = roles(state)
    assert isinstance(found, RolesShown)
    (on_page,) = page_roles(found)
    assert (on_page.name, on_page.mode, on_page.tone, on_page.doing) == ("reconcile", "on", tone, doing)


def test_another_engine_that_is_waited_for_is_named() -> None:
    text = another_engine_text("quantum:reconcile:state:BTCUSDT", 3.2)
    found = roles(None, waits=[("service/connected/reconcile_engine", text)])
    assert isinstance(found, RolesShown) and isinstance(found.reconcile, ReconcileShown)
    assert found.reconcile.waits_for == text
    (on_page,) = page_roles(found)
    assert (on_page.tone, on_page.doing) == (Tone.WATCH, f"waits: {text}")


def test_a_standby_and_a_shadow_say_so() -> None:
    standby = shown(now(case()), held=False)
    assert (standby.doing, standby.open_cases, standby.cases) == ("waits for the lease", None, [])
    assert shown(now(case()), "shadow").doing.startswith("compares in its shadow 5 symbols")


def test_a_case_has_its_amounts_its_evidence_and_what_a_person_can_do() -> None:
    (found,) = shown(now(case())).cases
    assert (found.exchange, found.ledger, found.difference, found.percent) == ("0.04", "0.05", "-0.01", "20")
    assert (found.reason, found.cause, found.legs, found.held_by) == ("qty_mismatch", "manual", [], None)
    assert (found.for_sec, found.why, found.advice) == (90.0, "an order moved it", "accept it")
    (order,) = found.orders
    assert (order.order_id, order.client_order_id, order.cause) == ("7", "web_x", "manual")
    assert (order.side, order.quantity, order.trades) == ("SELL", "0.01", 2)
    assert (order.at[:10], found.orders_left_out) == ("2026-09-21", 0)


def test_legs_are_shown_in_hedge_mode_and_a_ledger_without_amounts_is_none() -> None:
    legs = (LegAmounts(Leg.LONG, Decimal(3), Decimal(2)), LegAmounts(Leg.SHORT, Decimal(-1), Decimal(-1)))
    (hedged,) = shown(now(case(drift=drift(BTC, *legs)))).cases
    assert [(each.leg, each.exchange, each.ledger) for each in hedged.legs] == [
        ("LONG", "3", "2"), ("SHORT", "-1", "-1"),
    ]  # fmt: skip
    missing = drift(reason=DriftReason.MISSING_LEDGER, problem="missing")
    (found,) = shown(now(case(drift=missing))).cases
    assert found.ledger is None


def test_cases_for_a_person_come_first_and_long_lists_are_cut_with_their_number() -> None:
    waiting = [case(f"S{number}USDT", status="HOLD") for number in range(60)]
    found = shown(now(*waiting, case("ZUSDT")))
    assert (found.open_cases, found.manual, len(found.cases)) == (61, 1, 61)
    assert [each.symbol for each in found.cases[:2]] == ["ZUSDT", "S0USDT"]
    (cut,) = shown(now(case(found=tuple(growth(number) for number in range(30))))).cases
    assert (len(cut.orders), cut.orders[-1].order_id, cut.orders_left_out) == (20, "29", 10)


def test_the_latest_repairs_come_first() -> None:
    repaired = ((BTC, NOON_MS - 5000, Decimal("-1.50")), (Symbol("ETHUSDT"), NOON_MS, Decimal(2)))
    found = shown(now(repaired=repaired)).repaired
    assert [(each.symbol, each.moved) for each in found] == [("ETHUSDT", "2"), ("BTCUSDT", "-1.5")]


def test_the_page_warns_of_each_case_for_a_person_and_of_no_shadow() -> None:
    manual = [case(f"S{number}") for number in range(5)]
    state = now(case("HELD", status="HOLD"), *manual)
    assert list(reconcile_problems(shown(state))) == [
        "S0 needs a person: an order moved it",
        "S1 needs a person: an order moved it",
        "S2 needs a person: an order moved it",
        "2 more symbols need a person",
    ]
    assert with_a_case(shown(state)) == {f"S{number}" for number in range(5)}
    for none in (shown(now()), shown(state, "shadow"), shown(state, held=False), msgspec.UNSET):
        assert not list(reconcile_problems(none))
        assert not with_a_case(none)


@pytest.mark.parametrize(
    ("held", "held_by", "words"),
    [
        (True, None, "held by this service"),
        (False, None, "not held"),
        (False, "operator:ana", "held by another: operator:ana"),
        (False, "", "held by another: no hold_sig"),
    ],
)
def test_the_page_says_whose_hold_stands(held: bool, held_by: str | None, words: str) -> None:
    section = page_reconcile(roles(now(case(held=held, held_by=held_by))))
    assert section is not None
    assert section.cases[0].hold == words


def test_the_page_shows_twenty_cases_with_their_five_latest_orders() -> None:
    many = tuple(growth(number) for number in range(30))
    section = page_reconcile(roles(now(*(case(f"S{number}", found=many) for number in range(60)))))
    assert section is not None
    assert (section.state, section.tone, len(section.cases), section.left_out) == (
        "60 for a person", Tone.BAD, 20, 40,
    )  # fmt: skip
    first = section.cases[0]
    assert [each.order_id for each in first.orders] == ["25", "26", "27", "28", "29"]
    assert (first.orders_left_out, first.tone) == (25, Tone.BAD)
    calm = page_reconcile(roles(now()))
    assert calm is not None and (calm.state, calm.tone) == ("all agree", Tone.GOOD)
