"""The kill score: examples, properties, and equality with exact arithmetic to the last bit."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from brain.governor.case import EquityView, ExposureView, NeighbourView
from brain.governor.facts import account_cutoffs
from brain.governor.judging import judge
from brain.governor.kill_score import (
    Cutoffs,
    KillStats,
    cutoffs,
    is_warm,
    observe,
    qty_scale,
    stats_texts,
    z_of,
)
from brain.governor.rules import GovernorRules
from tests.brain.cases import NOW_MS
from tests.brain.governor import exact
from tests.brain.governor.cases import EQUITY, EXPOSURE, RULES, opening, rules

HISTORIES = 100_000
#: Tests among which the histories are divided: they run side by side.
PARTS = 4
ALPHA = RULES.z_alpha
WEIGHTS = RULES.z_entry_base, RULES.z_entry_heat, RULES.z_entry_drawdown
scores = st.floats(0, 1)
amounts = st.decimals("0", "1e9", places=4)


def after(history: list[float], alpha: float = ALPHA) -> list[tuple[KillStats, float]]:
    """The statistics and z after each observation."""
    stats: KillStats | None = None
    seen = []
    for score in history:
        stats = observe(stats, score, alpha=alpha, ts_ms=0)
        seen.append((stats, z_of(stats, score)))
    return seen


def histories(chance: random.Random, number: int) -> Iterator[list[float]]:
    """Short histories: flat ones, jumps, drifts, decimals of few digits, and any bits."""
    for _ in range(number):
        length = chance.randint(1, 5)
        shape = chance.randrange(4)
        if shape == 0:
            flat, jump = round(chance.random(), 2), chance.random()
            yield [flat] * (length - 1) + [jump]
        elif shape == 1:
            yield [round(chance.random(), chance.randint(1, 4)) for _ in range(length)]
        elif shape == 2:
            start, step = chance.random(), chance.uniform(-0.1, 0.1)
            yield [min(1.0, max(0.0, start + step * place)) for place in range(length)]
        else:
            yield [chance.random() for _ in range(length)]


@pytest.mark.parametrize("part", range(PARTS))
def test_statistics_z_and_cut_offs_equal_exact_arithmetic_to_the_last_bit(part: int) -> None:
    chance = random.Random(part)  # noqa: S311 - chance drawn from a seed
    alpha = exact.exactly(ALPHA)
    number, verdicts = HISTORIES // PARTS, 0
    for history in histories(chance, number):
        stats, truth = None, None
        for score in history:
            stats = observe(stats, score, alpha=ALPHA, ts_ms=0)
            observed = exact.exactly(score)
            truth = exact.observed(truth, observed, alpha)
        assert stats is not None
        assert truth is not None
        z, true_z = z_of(stats, history[-1]), exact.z(truth, observed)
        assert (stats.n, stats.mean, stats.var, z) == (
            truth.n,
            exact.as_float(truth.mean),
            exact.as_float(truth.var),
            exact.as_float(true_z),
        )
        heat, equity = chance.uniform(-0.1, 3), chance.uniform(800, 1000)
        seen = cutoffs(RULES, portfolio_heat=heat, equity=equity, peak=1000.0)
        true_heat = exact.within_one(exact.divide(exact.exactly(heat), exact.exactly(RULES.max_heat)))
        lost = exact.subtract(exact.exactly(1000.0), exact.exactly(equity))
        true_cutoff = exact.cutoff(
            WEIGHTS, true_heat, exact.within_one(exact.divide(lost, exact.exactly(1000.0)))
        )
        assert seen.entry == exact.as_float(true_cutoff)
        blocks = not exact.at_least(true_cutoff, true_z)
        assert (z > seen.entry) is blocks
        verdicts += blocks
    assert number // 20 < verdicts < number  # both verdicts occur


def test_a_judgement_says_what_exact_arithmetic_says() -> None:
    chance = random.Random(7)  # noqa: S311 - chance drawn from a seed
    lenient = rules(z_warmup=1, kill_score_critical=2.0, max_drawdown=Decimal(0), max_daily_loss=Decimal(0))
    alpha, blocked = exact.exactly(ALPHA), 0
    for history in histories(chance, 3_000):
        before: KillStats | None = None
        truth: exact.Stats | None = None
        for score in history[:-1]:
            before = observe(before, score, alpha=ALPHA, ts_ms=NOW_MS)
            truth = exact.observed(truth, exact.exactly(score), alpha)
        if before is None:
            continue
        held, owned = Decimal(chance.randint(0, 1500)), Decimal(chance.randint(80_000, 100_000)).scaleb(-2)
        judgement = judge(
            opening(
                rules=lenient,
                kill_score=history[-1],
                stats=before,
                equity=EquityView(owned, Decimal(1000), Decimal(1000), 1.0),
                exposure=ExposureView(1, False, held, held, Decimal(0)),
            )
        )
        last = exact.exactly(history[-1])
        truth = exact.observed(truth, last, alpha)
        z = exact.z(truth, last)
        heat = exact.divide(
            exact.divide(exact.exactly(held), exact.exactly(owned)), exact.exactly(RULES.max_heat)
        )
        lost = exact.divide(
            exact.subtract(exact.exactly(1000.0), exact.exactly(owned)), exact.exactly(1000.0)
        )
        cutoff = exact.cutoff(WEIGHTS, exact.within_one(heat), exact.within_one(lost))
        assert (judgement.z, judgement.cutoff) == (exact.as_float(z), exact.as_float(cutoff))
        assert (judgement.reason == "kill_score_entry") is not exact.at_least(cutoff, z)
        blocked += judgement.reason == "kill_score_entry"
    assert 100 < blocked < 2_500


@pytest.mark.parametrize(
    ("heat", "drawdown", "expected"), [(0, 0, 0.7), (1, 0, 1.2), (1, 0.1, 1.23), (0.5, 0.2, 1.01)]
)
def test_the_entry_cut_off_has_the_values_of_the_contract(
    heat: float, drawdown: float, expected: float
) -> None:
    seen = cutoffs(RULES, portfolio_heat=heat * 2.0, equity=1000 * (1 - drawdown), peak=1000)
    assert seen.entry == pytest.approx(expected, abs=1e-12)
    assert seen.exit is None


def test_the_exit_cut_off_has_weights_of_its_own() -> None:
    exits = rules(z_exit_base=1.5, z_exit_heat=-0.25, z_exit_drawdown=0.5)
    assert cutoffs(exits, portfolio_heat=2.0, equity=900, peak=1000).exit == pytest.approx(1.5 - 0.25 - 0.45)


def test_a_score_that_stays_high_is_usual_within_ten_observations() -> None:
    seen = after([0.3] * 200 + [0.9] * 10)[200:]
    assert [f"{z:.2f}" for _, z in seen[:8]] == [
        "3.16",
        "2.18",
        "1.73",
        "1.46",
        "1.27",
        "1.12",
        "1.01",
        "0.92",
    ]
    assert seen[9][1] < 0.8


def test_the_first_observation_is_the_mean() -> None:
    assert after([0.4]) == [(KillStats(1, 0.4, 0.0, 0), 0.0)]


def test_the_variance_uses_the_mean_just_updated() -> None:
    stats, z = after([0.2, 0.7])[1]
    assert stats.mean == pytest.approx(0.25)
    assert stats.var == pytest.approx(0.1 * 0.45**2)
    assert z == pytest.approx(0.45 / (0.45 * math.sqrt(0.1) + 1e-6))


@given(scores, st.integers(1, 40))
def test_z_of_a_constant_is_zero(score: float, length: int) -> None:
    assert abs(after([score] * length)[-1][1]) < 1e-6


@given(scores, scores, st.integers(1, 60), st.sampled_from([0.05, 0.1, 0.3, 0.5]))
def test_no_jump_from_a_flat_history_is_beyond_one_by_the_root_of_alpha(
    flat: float, jump: float, length: int, alpha: float
) -> None:
    assert abs(after([flat] * length + [jump], alpha)[-1][1]) <= 1 / math.sqrt(alpha) + 1e-6


@given(st.lists(scores, min_size=1, max_size=30))
def test_no_history_gives_a_z_beyond_one_by_the_root_of_alpha(history: list[float]) -> None:
    assert abs(after(history)[-1][1]) <= 1 / math.sqrt(ALPHA) + 1e-6


@given(st.lists(scores, min_size=1, max_size=20))
def test_stored_texts_give_the_same_bits_again(history: list[float]) -> None:
    stats = after(history)[-1][0]
    n, mean, var, ts = stats_texts(stats)
    assert KillStats(int(n), float(mean), float(var), int(ts)) == stats


@given(
    st.floats(0, 4), st.floats(0, 4), st.floats(500, 1000), st.floats(500, 1000),
    st.floats(-2, 2), st.floats(-2, 2), st.floats(0, 2),
)  # fmt: skip
def test_the_cut_off_is_monotone_in_heat_and_drawdown(
    heat: float, hotter: float, equity: float, other: float, by_heat: float, by_drawdown: float, base: float
) -> None:
    weighted = rules(z_entry_base=base, z_entry_heat=by_heat, z_entry_drawdown=by_drawdown)
    heat, hotter = sorted((heat, hotter))
    equity, other = sorted((equity, other))

    def entry(heat: float, equity: float) -> float:
        return cutoffs(weighted, portfolio_heat=heat, equity=equity, peak=1000.0).entry

    assert (entry(hotter, equity) - entry(heat, equity)) * by_heat >= -1e-12
    assert (entry(heat, equity) - entry(heat, other)) * by_drawdown >= -1e-12


@given(st.floats(0, 2), st.floats(0, 2))
def test_the_cut_off_is_monotone_in_its_base(base: float, higher: float) -> None:
    base, higher = sorted((base, higher))
    low, high = (
        cutoffs(rules(z_entry_base=each), portfolio_heat=1, equity=1, peak=1).entry for each in (base, higher)
    )
    assert low <= high


def test_statistics_are_warm_from_the_twentieth_observation_on() -> None:
    def warm(n: int) -> bool:
        return is_warm(KillStats(n, 0.3, 0.0, NOW_MS), NOW_MS, RULES)

    assert not warm(19)
    assert warm(20)
    assert not is_warm(None, NOW_MS, RULES)


def test_statistics_are_too_old_after_the_age_of_the_settings() -> None:
    def warm(age_ms: int) -> bool:
        return is_warm(KillStats(50, 0.3, 0.0, NOW_MS - age_ms), NOW_MS, RULES)

    assert warm(86_400_000)
    assert not warm(86_400_001)


def test_an_entry_is_scaled_above_the_threshold_only() -> None:
    assert qty_scale(RULES, 0.6) == 1.0
    assert qty_scale(RULES, 0.7) == pytest.approx(math.exp(-0.2))
    assert qty_scale(rules(kill_score_open_qty_scale_alpha=9.0), 0.79) == 0.25


@pytest.mark.parametrize(
    ("equity", "exposure"),
    [
        (None, EXPOSURE),
        (msgspec.structs.replace(EQUITY, age_sec=60.5), EXPOSURE),
        (msgspec.structs.replace(EQUITY, equity=Decimal(0)), EXPOSURE),
        (EQUITY, None),
    ],
)
def test_an_account_that_is_not_known_has_no_cut_offs(
    equity: EquityView | None, exposure: ExposureView | None
) -> None:
    assert account_cutoffs(RULES, equity, exposure, NeighbourView()) is None


def test_an_equity_at_its_age_limit_has_cut_offs() -> None:
    at_limit = msgspec.structs.replace(EQUITY, age_sec=60.0)
    assert account_cutoffs(RULES, at_limit, EXPOSURE, NeighbourView()) is not None


def test_without_a_peak_there_is_no_drawdown() -> None:
    assert cutoffs(RULES, portfolio_heat=0, equity=1, peak=0).drawdown == 0.0


def test_heat_is_notional_by_equity_unless_another_source_has_it() -> None:
    held = msgspec.structs.replace(EXPOSURE, positions_notional=Decimal(500))

    def heat(neighbours: NeighbourView, exposure: ExposureView | None = held) -> float:
        seen: Cutoffs | None = account_cutoffs(RULES, EQUITY, exposure, neighbours)
        assert seen is not None
        return seen.heat

    assert heat(NeighbourView()) == 0.25
    assert heat(NeighbourView(external_heat=1.0)) == 0.5
    assert heat(NeighbourView(external_heat=1.0), None) == 0.5


@given(amounts, st.decimals("0.01", "1e9", places=2), st.decimals("0", "1e9", places=2))
def test_heat_and_drawdown_stay_between_nothing_and_all(
    held: Decimal, equity: Decimal, above: Decimal
) -> None:
    views = EquityView(equity, equity + above, equity, 1.0), ExposureView(1, True, held, held, held)
    seen = account_cutoffs(_any_rules(), *views, NeighbourView())
    assert seen is not None
    assert 0 <= seen.heat <= 1
    assert 0 <= seen.drawdown <= 1


def _any_rules() -> GovernorRules:
    return rules(z_exit_base=0.5)
