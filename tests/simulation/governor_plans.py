"""Kill scores of the pipeline's plans: those that change, that stay high, and that are missing."""

from __future__ import annotations

from random import Random

from tests.simulation.fields import Fields
from tests.simulation.kill_book import closes_by_name

_MISSING, _UNUSABLE, _JUMPS = 0.12, 0.18, 0.12
_UNUSABLE_SCORES = ("1.5", "-0.2", "NaN", "high", "1e400")
_LEVELS = (0.2, 0.35, 0.5, 0.7, 0.9)
_SPREAD = 0.06


class GovernedPlans:
    """Adds to plans what the Governor reads of them."""

    def __init__(self, rng: Random) -> None:
        #: Whether plans have kill scores; without them no close is stopped by its score.
        self.scores = True
        self._rng = rng
        self._levels: dict[tuple[str, bool], float] = {}

    def adorn(self, symbol: str, fields: Fields) -> Fields:
        """Return the fields with a kill score, its parts and a confidence."""
        rng = self._rng
        draw = rng.random()
        if not self.scores or draw < _MISSING:
            return fields
        if draw < _UNUSABLE:
            return fields | {"kill_score": rng.choice(_UNUSABLE_SCORES)}
        key = symbol, closes_by_name(fields)
        level = self._levels.get(key, _LEVELS[0])
        if rng.random() < _JUMPS:
            level = rng.choice(_LEVELS)
        self._levels[key] = level
        score = min(1.0, max(0.0, rng.gauss(level, _SPREAD)))
        return fields | {
            "kill_score": rng.choice((f"{score:.3f}", f"{score:.6f}", repr(score))),
            "k_regime_flip": f"{score / 2:.3f}",
            "k_age": f"{score / 3:.3f}",
            "confidence": f"{rng.random():.2f}",
        }
