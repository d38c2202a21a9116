"""The numbers of docs/kill_score.md, and its picture."""

from __future__ import annotations

import math
from decimal import Decimal

from brain.governor.kill_score import KillStats, cutoffs, observe, z_of
from scripts.draw_kill_score import BEFORE, CUTOFFS, FLAT, HIGH, PICTURE, drawing, observations
from tests.brain.governor.cases import RULES
from tests.docs.documents import section, tables

DOCUMENT = "docs/kill_score.md"


def scores(text: str) -> list[float]:
    """The scores that a history in the document stands for."""
    found: list[float] = []
    for part in text.strip("`").replace("\\|", "|").split():
        shape, _, times = part.partition("×")
        number = int(times or 1)
        if "|" in shape:
            found += [float(each) for each in shape.split("|")] * number
        else:
            start, _, step = shape.partition("+")
            found += [float(Decimal(start) + Decimal(step or 0) * place) for place in range(number)]
    return found


def last(history: list[float]) -> tuple[KillStats, float]:
    """The statistics and z after a history."""
    stats: KillStats | None = None
    for score in history:
        stats = observe(stats, score, alpha=RULES.z_alpha, ts_ms=0)
    assert stats is not None
    return stats, z_of(stats, history[-1])


def verdict(z: float, cutoff: float) -> str:
    return "blocked" if z > cutoff else "passes"


def test_the_cut_offs_in_the_document_are_those_of_the_defaults() -> None:
    rows = tables(section(DOCUMENT, "The formulas"))[0]
    assert len(rows) == 4
    for heat, drawdown, cutoff in rows:
        seen = cutoffs(
            RULES,
            portfolio_heat=float(heat) * RULES.max_heat,
            equity=1 - float(drawdown),
            peak=1.0,
        )
        assert cutoff == f"{seen.entry:.2f}"


def test_the_course_of_a_level_that_stays_is_the_formula_s() -> None:
    rows = tables(section(DOCUMENT, "A level that stays high becomes usual"))[0]
    assert len(rows) == 12
    for row in rows:
        stats, z = last([FLAT] * BEFORE + [HIGH] * int(row[0]))
        low, high = (cutoff for cutoff, _ in CUTOFFS)
        values = f"{HIGH}", f"{stats.mean:.2f}", f"{math.sqrt(stats.var):.2f}", f"{z:.2f}"
        assert row[1:] == [*values, verdict(z, low), verdict(z, high)]


def test_the_picture_s_cut_offs_are_those_without_and_with_full_heat() -> None:
    for (cutoff, _), heat in zip(CUTOFFS, (0.0, RULES.max_heat), strict=True):
        assert f"{cutoffs(RULES, portfolio_heat=heat, equity=1, peak=1).entry:.6f}" == f"{cutoff:.6f}"


def test_each_history_has_the_z_that_the_document_gives() -> None:
    text = section(DOCUMENT, "What it sees, and what it does not").replace("\\|", "¦")
    rows = tables(text)[0]
    assert len(rows) == 8
    for history, z_text, shown, _ in rows:
        z = last(scores(history.replace("¦", "|")))[1]
        assert (z_text, shown) == (f"{z:.2f}".replace("-0.00", "0.00"), verdict(z, CUTOFFS[0][0]))


def test_the_picture_is_the_one_that_its_script_draws() -> None:
    assert PICTURE.read_text() == drawing(), "draw it anew: python -m scripts.draw_kill_score"
    assert [f"{seen.z:.2f}" for seen in observations() if seen.number > 0][:3] == ["3.16", "2.18", "1.73"]
