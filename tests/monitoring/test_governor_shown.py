"""The Governor in `/status`, in `/readyz` and among the roles of the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec
import pytest
import structlog

import settings
from actors.one_player import player_text
from brain.execution.switches import TradingState
from brain.governor.case import EquityView
from brain.identifiers import FencingToken, Symbol
from channels import Channels, GovernorNow, Lease, SymbolCounts
from clocks.clocks import Clocks
from monitoring.metrics.registry import MetricRegistry
from monitoring.page_view.roles import page_roles
from monitoring.status.document import RolesShown
from monitoring.status.governor import UNREADABLE, GovernorShown, governor_problems
from monitoring.status.roles import RolesSource
from page.tone import Tone
from settings import Settings
from tests.monitoring.status_rig import SetClock

NOW = GovernorNow(
    trading_state=TradingState.ACTIVE,
    state_readable=True,
    kill_switch=False,
    disarmed="",
    equity=EquityView(Decimal(980), Decimal(1000), Decimal(1000), 3.0),
    heat=0.5,
    drawdown=0.02,
    symbols=4,
    positions_notional=Decimal(490),
    reserved_notional=Decimal("10.126"),
    z_entry=0.83,
    z_exit=None,
)
PATH = "position-state-brain/roles/governor"


def source(
    environ: Mapping[str, str], now: GovernorNow | None, *, held: bool = True
) -> tuple[RolesSource, Settings, Channels]:
    own, clocks = settings.load(environ).settings, Clocks(SetClock())
    channels = Channels(1, governor=own.governor != "off")
    channels.lease.send(Lease(FencingToken("7") if held else None, "here"))
    if channels.governor is not None and now is not None:
        channels.governor.send(now)
    registry = MetricRegistry(channels, clocks, structlog.get_logger())
    return RolesSource(own, channels, clocks, registry), own, channels


def roles(
    now: GovernorNow | None = NOW,
    waits: Sequence[tuple[str, str]] = (),
    *,
    held: bool = True,
    mode: str = "on",
    **changes: str,
) -> RolesShown:
    shown = source({"P33_GOVERNOR": mode, **changes}, now, held=held)[0].shown(waits)
    assert isinstance(shown, RolesShown)
    return shown


def governor(now: GovernorNow | None = NOW, **changes: Any) -> GovernorShown:
    shown = roles(now, **changes).governor
    assert isinstance(shown, GovernorShown)
    return shown


def changed(**changes: Any) -> GovernorNow:
    return msgspec.structs.replace(NOW, **changes)


def full(shown: GovernorShown) -> dict[str, float | None]:
    return {
        each.name if each.symbol is None else f"{each.name} {each.symbol}": each.full for each in shown.limits
    }


def test_a_governor_that_is_off_is_not_mentioned() -> None:
    shown, _, channels = source({}, NOW)
    assert channels.governor is None
    assert shown.shown(()) is msgspec.UNSET
    assert shown.unreadable() is msgspec.UNSET


@pytest.mark.parametrize(
    ("now", "doing", "tone"),
    [
        (NOW, "trading ACTIVE", Tone.GOOD),
        (
            changed(trading_state=TradingState.REDUCING, disarmed="daily_loss"),
            "trading REDUCING: opens and adds are stopped, since the auto-disarm daily_loss",
            Tone.WATCH,
        ),
        (changed(disarmed="daily_loss"), "trading ACTIVE", Tone.GOOD),
        (changed(trading_state=TradingState.HALTED), "trading HALTED: no order is permitted", Tone.BAD),
        (
            changed(kill_switch=True),
            "trading ACTIVE, but a kill switch is on: opens and adds are stopped",
            Tone.WATCH,
        ),
        (None, "reads its state", Tone.ASIDE),
    ],
)
def test_a_governor_says_if_it_lets_orders_pass(now: GovernorNow | None, doing: str, tone: Tone) -> None:
    shown = roles(now)
    assert governor(now).doing == doing
    (on_page,) = page_roles(shown)
    assert (on_page.name, on_page.mode, on_page.tone, on_page.doing) == ("governor", "on", tone, doing)


def test_a_shadow_a_standby_and_one_that_waits_say_so() -> None:
    assert governor(mode="shadow").doing == "judges in its shadow, trading ACTIVE"
    assert governor(held=False).doing == "waits for the lease"
    another = player_text("Governor", "quantum:stream:apply.plan", "gov-1234", 0.3)
    waiting = governor(waits=[(PATH, another)])
    assert (waiting.doing, waiting.waits_for) == (f"waits: {another}", another)
    (on_page,) = page_roles(roles(waits=[(PATH, another)]))
    assert on_page.tone is Tone.WATCH
    assert governor(waits=[("position-state-brain/roles/executor", another)]).waits_for is None


def test_limits_of_the_account_show_how_full_they_are() -> None:
    assert full(governor()) == {
        "GOV_MAX_OPEN_POSITIONS": 0.4,
        "GOV_MAX_TOTAL_NOTIONAL_USDT": 0.2501,
        "RISK_MAX_LEVERAGE": 0.051,
        "RISK_MAX_DAILY_LOSS_PCT": 0.8,
        "RISK_MAX_DRAWDOWN_PCT": 0.25,
    }
    [total] = [each for each in governor().limits if each.name == "GOV_MAX_TOTAL_NOTIONAL_USDT"]
    assert (total.used, total.limit, total.symbol) == ("500.126", "2000", None)


def test_an_unknown_input_is_unknown_and_a_limit_of_zero_is_none() -> None:
    nothing = changed(equity=None, symbols=None, positions_notional=None, heat=None, drawdown=None)
    assert set(full(governor(nothing)).values()) == {None}
    unlimited = governor(
        GOV_MAX_OPEN_POSITIONS="0",
        GOV_MAX_TOTAL_NOTIONAL_USDT="0",
        RISK_MAX_LEVERAGE="0",
        RISK_MAX_DAILY_LOSS_PCT="0",
        RISK_MAX_DRAWDOWN_PCT="0",
    )
    assert unlimited.limits == []


def test_a_gain_is_no_loss_and_an_equity_of_zero_divides_nothing() -> None:
    gained = changed(equity=EquityView(Decimal(1100), Decimal(1100), Decimal(1000), 0.0))
    assert full(governor(gained))["RISK_MAX_DAILY_LOSS_PCT"] == 0.0
    gone = changed(equity=EquityView(Decimal(0), Decimal(0), Decimal(0), 0.0))
    assert full(governor(gone))["RISK_MAX_LEVERAGE"] is None


def test_the_fullest_limits_of_symbols_come_first_and_no_more_than_twenty() -> None:
    counts = (
        SymbolCounts(Symbol("BTCUSDT"), 1, 1, Decimal(50)),
        SymbolCounts(Symbol("ETHUSDT"), 3, 0, Decimal(0)),
    )
    shown = governor(changed(counts=counts), GOV_MAX_OPEN_NOTIONAL_PER_DAY_USD="200")
    of_symbols = [(each.name, each.symbol, each.full) for each in shown.limits if each.symbol]
    assert of_symbols == [
        ("GOV_MAX_EXEC_PER_HOUR", "ETHUSDT", 1.0),
        ("GOV_MAX_EXEC_PER_5MIN", "BTCUSDT", 0.5),
        ("GOV_MAX_EXEC_PER_HOUR", "BTCUSDT", 0.3333),
        ("GOV_MAX_OPEN_NOTIONAL_PER_DAY_USD", "BTCUSDT", 0.25),
    ]
    many = tuple(SymbolCounts(Symbol(f"S{number}"), 1, 1, Decimal(0)) for number in range(50))
    assert len([each for each in governor(changed(counts=many)).limits if each.symbol]) == 20


@pytest.mark.parametrize(
    ("readable", "held", "said"), [(False, True, True), (True, True, False), (False, False, False)]
)
def test_readiness_names_a_trading_state_that_cannot_be_read(readable: bool, held: bool, said: bool) -> None:
    now = changed(state_readable=readable, trading_state=TradingState.HALTED)
    shown = source({"P33_GOVERNOR": "on"}, now, held=held)[0].unreadable()
    assert shown == ([UNREADABLE] if said else msgspec.UNSET)


def test_counts_that_cannot_be_read_are_shown_and_warned_of() -> None:
    shown = governor(changed(unreadable=("reserved (x: odd)", "window:BTCUSDT")))
    assert shown.unreadable == ["reserved (x: odd)", "window:BTCUSDT"]
    assert list(governor_problems(shown)) == [
        "counts of the Governor cannot be read, opens are stopped: reserved (x: odd); window:BTCUSDT"
    ]
    assert (governor().unreadable, list(governor_problems(governor()))) == ([], [])


def test_the_page_warns_of_what_stops_orders_and_not_of_a_shadow() -> None:
    halted = changed(trading_state=TradingState.HALTED)
    assert list(governor_problems(governor(halted))) == ["trading HALTED: no order is permitted"]
    assert list(governor_problems(governor(changed(kill_switch=True))))
    assert list(governor_problems(governor(changed(state_readable=False)))) == [UNREADABLE]
    assert list(governor_problems(governor())) == []
    assert list(governor_problems(governor(halted, mode="shadow"))) == []
    assert list(governor_problems(msgspec.UNSET)) == []
