"""The Governor on the page."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from monitoring.page_view.roles import governor_tone
from monitoring.recent_judgements import JudgedPoint, RecentJudgements
from monitoring.status.document import RolesShown
from monitoring.status.governor import GovernorShown
from page.content import Governor, KillHistory, KillPoint, Limit
from page.words import duration

_SYMBOLS_SHOWN = 6


def page_governor(shown: RolesShown | msgspec.UnsetType, judgements: RecentJudgements) -> Governor | None:
    """Return the Governor as the page shows it; None where it is off."""
    if isinstance(shown, msgspec.UnsetType) or isinstance(shown.governor, msgspec.UnsetType):
        return None
    governor = shown.governor
    return Governor(
        state=governor.trading_state or governor.mode,
        tone=governor_tone(governor),
        doing=governor.doing,
        figures=tuple(_figures(governor)),
        limits=tuple(msgspec.convert(each, Limit, from_attributes=True) for each in governor.limits),
        kill_scores=tuple(_histories(judgements)),
    )


def _figures(governor: GovernorShown) -> Iterator[tuple[str, str]]:
    if governor.trading_state is None:
        return
    if governor.equity is None:
        yield "equity", "not known: nothing is opened or added"
    else:
        yield "equity", f"{governor.equity} USDT, read {duration(governor.equity_age_sec)} ago"
        yield "its peak, the day's first", f"{governor.peak}, {governor.day_open} USDT"
    if governor.drawdown is not None:
        yield "drawdown", f"{governor.drawdown:.2%}"
    if governor.heat is not None:
        yield "heat", f"{governor.heat:.3f} (notional by equity)"
    yield "reserved by grants", f"{governor.reserved} USDT"
    if governor.z_cutoff_entry is not None:
        yield "cut-off of entries", f"{governor.z_cutoff_entry:.3f}"
    yield "cut-off of exits", "off" if governor.z_cutoff_exit is None else f"{governor.z_cutoff_exit:.3f}"
    yield "kill switch", "on" if governor.kill_switch else "off"
    yield "auto-disarm today", governor.disarmed or "none"


def _histories(judgements: RecentJudgements) -> Iterator[KillHistory]:
    for symbol, points in judgements.busiest(_SYMBOLS_SHOWN):
        for eval_type in ("entry", "exit"):
            own = tuple(_point(each) for each in points if each.eval_type == eval_type)
            if own:
                yield KillHistory(symbol, eval_type, own)


def _point(each: JudgedPoint) -> KillPoint:
    return KillPoint(each.at_ms, each.kill_score, each.z, each.cutoff, each.granted, each.reason)
