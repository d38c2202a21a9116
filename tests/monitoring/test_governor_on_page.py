"""The Governor as the page gets it."""

from __future__ import annotations

import msgspec

from monitoring.page_view.governor import page_governor
from monitoring.recent_judgements import RecentJudgements
from page.content import Limit
from page.tone import Tone
from tests.monitoring.test_governor_shown import changed, roles
from tests.monitoring.test_recent_judgements import point


def test_it_has_state_figures_limits_and_the_kill_scores_of_the_busiest_symbols() -> None:
    judgements = RecentJudgements()
    judgements.judged([point(f"S{number}") for number in range(9)])
    judgements.judged([msgspec.structs.replace(point("S8", 5), eval_type="exit")])
    governor = page_governor(roles(), judgements)
    assert governor is not None
    assert (governor.state, governor.tone, governor.doing) == ("ACTIVE", Tone.GOOD, "trading ACTIVE")
    figures = dict(governor.figures)
    assert figures["equity"] == "980 USDT, read 3.0 s ago"
    assert (figures["drawdown"], figures["cut-off of entries"], figures["cut-off of exits"]) == (
        "2.00%", "0.830", "off",
    )  # fmt: skip
    assert Limit("GOV_MAX_OPEN_POSITIONS", None, "4", "10", 0.4) in governor.limits
    assert [(each.symbol, each.eval_type) for each in governor.kill_scores] == [
        ("S8", "entry"), ("S8", "exit"), *((f"S{number}", "entry") for number in range(5)),
    ]  # fmt: skip


def test_an_unknown_equity_says_what_follows_from_it() -> None:
    governor = page_governor(roles(changed(equity=None, drawdown=None, heat=None)), RecentJudgements())
    assert governor is not None
    assert dict(governor.figures)["equity"] == "not known: nothing is opened or added"
    assert "drawdown" not in dict(governor.figures)


def test_a_standby_has_no_figures_and_no_role_no_section() -> None:
    standby = page_governor(roles(held=False), RecentJudgements())
    assert standby is not None and (standby.state, standby.figures, standby.limits) == ("on", (), ())
    assert page_governor(msgspec.UNSET, RecentJudgements()) is None
