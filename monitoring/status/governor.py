"""The Governor in `/status`, in `/readyz` and on the page: switches, equity, and how full its limits are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal

import msgspec

from brain.execution.switches import TradingState
from brain.numbers import plain
from channels import Channels, GovernorNow
from monitoring.status.acting import obstacle_of
from settings import Settings

#: Begin of what a Governor waits for while another one reads the plans (`actors/one_player.py`).
_ANOTHER = "another Governor works on "
_MOST_SYMBOLS = 20
UNREADABLE = "governor:trading_state cannot be read and counts as HALTED: position-state-brain trading-state"
_STATES = {
    TradingState.ACTIVE: "",
    TradingState.REDUCING: ": opens and adds are stopped",
    TradingState.HALTED: ": no order is permitted",
}


class LimitShown(msgspec.Struct, frozen=True):
    """A limit by its setting. `full` is the part that is used, 1 or more where it stops opens and adds.

    `symbol` is null for a limit of the account. What is not known yet is null.
    """

    name: str
    symbol: str | None
    used: str | None
    limit: str
    full: float | None


class GovernorShown(msgspec.Struct, frozen=True, kw_only=True):
    """The Governor: `mode` is `on` or `shadow`, `doing` a sentence, `waits_for` another Governor.

    The others are null while this instance judges nothing under its lease. `disarmed`: the reason of today's
    auto-disarm. `heat` is the notional of all positions by equity. Amounts are USDT.
    """

    mode: str
    doing: str
    waits_for: str | None = None
    trading_state: str | None = None
    state_readable: bool = True
    kill_switch: bool | None = None
    disarmed: str | None = None
    equity: str | None = None
    peak: str | None = None
    day_open: str | None = None
    equity_age_sec: float | None = None
    heat: float | None = None
    drawdown: float | None = None
    open_positions: int | None = None
    reserved: str | None = None
    z_cutoff_entry: float | None = None
    z_cutoff_exit: float | None = None
    limits: list[LimitShown] = []
    unreadable: list[str] = []


def governor_shown(
    settings: Settings, channels: Channels, waits: Sequence[tuple[str, str]]
) -> GovernorShown | msgspec.UnsetType:
    """Return the Governor; unset where it is off. `waits`: the tree's, as (path, dependency)."""
    if channels.governor is None:
        return msgspec.UNSET
    mode = settings.governor
    obstacle = obstacle_of("governor", channels.lease.value, waits, begins=_ANOTHER)
    if obstacle is not None:
        return GovernorShown(mode=mode, doing=obstacle.doing, waits_for=obstacle.waits_for)
    now = channels.governor.value
    if now is None:
        return GovernorShown(mode=mode, doing="reads its state")
    equity = now.equity
    return GovernorShown(
        mode=mode,
        doing=_doing(mode, now),
        trading_state=now.trading_state.value,
        state_readable=now.state_readable,
        kill_switch=now.kill_switch,
        disarmed=now.disarmed or None,
        equity=None if equity is None else _usdt(equity.equity),
        peak=None if equity is None else _usdt(equity.peak),
        day_open=None if equity is None else _usdt(equity.day_open),
        equity_age_sec=None if equity is None else equity.age_sec,
        heat=now.heat,
        drawdown=now.drawdown,
        open_positions=now.symbols,
        reserved=_usdt(now.reserved_notional),
        z_cutoff_entry=now.z_entry,
        z_cutoff_exit=now.z_exit,
        limits=[*_account_limits(settings, now), *_symbol_limits(settings, now)],
        unreadable=list(now.unreadable),
    )


def governor_sentences(channels: Channels) -> list[str] | msgspec.UnsetType:
    """Return what `/readyz` says of the Governor; unset where there is nothing to say."""
    lease = channels.lease.value
    now = None if channels.governor is None else channels.governor.value
    if now is None or now.state_readable or lease is None or lease.fence is None:
        return msgspec.UNSET
    return [UNREADABLE]


def governor_problems(shown: GovernorShown | msgspec.UnsetType) -> Iterator[str]:
    """Yield what the page warns of: a state that stops orders, a kill switch, unreadable counts."""
    if isinstance(shown, msgspec.UnsetType) or shown.mode != "on" or shown.trading_state is None:
        return
    if not shown.state_readable:
        yield UNREADABLE
    elif shown.trading_state != TradingState.ACTIVE or shown.kill_switch:
        yield shown.doing
    if shown.unreadable:
        yield f"counts of the Governor cannot be read, opens are stopped: {'; '.join(shown.unreadable)}"


def _doing(mode: str, now: GovernorNow) -> str:
    begin = "judges in its shadow, trading" if mode == "shadow" else "trading"
    state = f"{begin} {now.trading_state.value}{_STATES[now.trading_state]}"
    if now.disarmed and now.trading_state is TradingState.REDUCING:
        state += f", since the auto-disarm {now.disarmed}"
    if now.kill_switch and now.trading_state is TradingState.ACTIVE:
        state += ", but a kill switch is on: opens and adds are stopped"
    return state


def _account_limits(settings: Settings, now: GovernorNow) -> Iterator[LimitShown]:
    if settings.max_open_positions:
        yield _limit(
            "GOV_MAX_OPEN_POSITIONS",
            None if now.symbols is None else Decimal(now.symbols),
            Decimal(settings.max_open_positions),
        )
    total = None if now.positions_notional is None else now.positions_notional + now.reserved_notional
    if settings.max_total_notional:
        yield _limit("GOV_MAX_TOTAL_NOTIONAL_USDT", total, settings.max_total_notional)
    equity = now.equity
    if settings.max_leverage:
        known = equity is not None and equity.equity > 0 and total is not None
        used = total / equity.equity if known and total is not None and equity is not None else None
        yield _limit("RISK_MAX_LEVERAGE", used, settings.max_leverage)
    if settings.max_daily_loss:
        lost = None if equity is None else _lost(equity.day_open, equity.equity)
        yield _limit("RISK_MAX_DAILY_LOSS_PCT", lost, settings.max_daily_loss)
    if settings.max_drawdown:
        lost = None if equity is None else _lost(equity.peak, equity.equity)
        yield _limit("RISK_MAX_DRAWDOWN_PCT", lost, settings.max_drawdown)


def _symbol_limits(settings: Settings, now: GovernorNow) -> list[LimitShown]:
    """Return the fullest limits of symbols."""
    rows: list[LimitShown] = []
    for each in now.counts:
        for name, used, limit in (
            ("GOV_MAX_EXEC_PER_HOUR", Decimal(each.granted_hour), Decimal(settings.max_exec_per_hour)),
            ("GOV_MAX_EXEC_PER_5MIN", Decimal(each.granted_5min), Decimal(settings.max_exec_per_5min)),
            (
                "GOV_MAX_OPEN_NOTIONAL_PER_DAY_USD",
                each.opened_today,
                settings.max_open_notional_per_day or Decimal(0),
            ),
        ):
            if used and limit:
                rows.append(_limit(name, used, limit, each.symbol))
    rows.sort(key=lambda row: (-(row.full or 0.0), row.symbol or "", row.name))
    return rows[:_MOST_SYMBOLS]


def _limit(name: str, used: Decimal | None, limit: Decimal, symbol: str | None = None) -> LimitShown:
    if used is None:
        return LimitShown(name, symbol, None, plain(limit), None)
    return LimitShown(name, symbol, _short(used), plain(limit), round(float(used / limit), 4))


def _lost(before: Decimal, now: Decimal) -> Decimal:
    return max((before - now) / before, Decimal(0)) if before > 0 else Decimal(0)


def _short(number: Decimal) -> str:
    return plain(round(number, 4).normalize())


def _usdt(number: Decimal) -> str:
    return plain(round(number, 2))
