"""Observations of kill scores: what they change of a symbol's statistics."""

from __future__ import annotations

import msgspec

from actors.governor.cases import CaseMaking
from actors.governor.plans import GovernedPlan
from actors.governor.state import GovernedState
from actors.governor.texts import stats_reset
from brain.governor.case import GovernorCase
from brain.governor.judgement import Judgement
from brain.governor.kill_score import KillStats, observe, stats_texts
from brain.identifiers import Symbol
from store.governor_records import GovernedSymbol


class Observation(msgspec.Struct, frozen=True):
    """What is written of a symbol's statistics of one evaluation type, and those statistics."""

    texts: tuple[str, ...]
    stats: KillStats


class Observations:
    """Makes the observations of plans that are not judged, and the events of all."""

    def __init__(self, state: GovernedState, cases: CaseMaking, alpha: float) -> None:
        self._state = state
        self._cases = cases
        self._alpha = alpha

    def of_score(self, governed: GovernedPlan, name: str, now_ms: int) -> Observation | None:
        """Return the statistics with the score of a plan that is not judged; None where it has none."""
        symbol, score = governed.symbol, governed.score.value
        if symbol is None or score is None or not governed.observed or governed.was_observed:
            return None
        before, _ = self._cases.stats(symbol, self._state.symbols[symbol], name)
        entry_ms = governed.entry.published_ms
        at_ms = now_ms if entry_ms is None else min(entry_ms, now_ms)
        stats = observe(before, score, alpha=self._alpha, ts_ms=at_ms)
        return Observation((name, *stats_texts(stats)), stats)

    def events(
        self, symbol: Symbol, stored: GovernedSymbol, observation: Observation | None, now_ms: int
    ) -> tuple[tuple[str, ...], ...]:
        """Return the event of statistics that an observation starts anew."""
        if observation is None:
            return ()
        name = observation.texts[0]
        unreadable = self._cases.stats(symbol, stored, name)[1]
        return (stats_reset(symbol, name, now_ms),) if unreadable else ()


def of_judgement(judgement: Judgement, case: GovernorCase, name: str) -> Observation | None:
    """Return what a judgement changes of the statistics: its score, and since when exits are blocked."""
    stats = judgement.stats
    if name == "entry":
        return None if stats is None else Observation((name, *stats_texts(stats)), stats)
    since_ms = judgement.exit_blocked_since_ms
    if stats is None:
        # No score, and so no block: the end of one is written with the statistics as they are.
        stats = case.stats
        if stats is None or since_ms == case.counts.exit_blocked_since_ms:
            return None
    since = "" if since_ms is None else str(since_ms)
    return Observation((name, *stats_texts(stats), since), stats)
