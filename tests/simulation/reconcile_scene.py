"""Settings and the exchange's lists in seeds with the service's own reconcile engine."""

from __future__ import annotations

from random import Random

#: By so much the lists of trades and orders lag behind the positions (ms), and how many rows a page has.
HISTORY_LAGS_MS = (0.0, 0.0, 800.0, 2_500.0, 5_000.0)
HISTORY_PAGES = (2, 3, 5, 50, 1000)
_SETTINGS = {
    "P34_LOOP_CADENCE_SEC": ("0.5", "1.0", "1.0"),
    "P34_QTY_DRIFT_TOLERANCE_PCT": ("0.2", "1.0", "1.0"),
    "P34_HOLD_TTL_SEC": ("30", "300"),
    "P34_SETTLE_SEC": ("1", "2", "2"),
    "P34_CLEAR_AFTER_SEC": ("2", "3"),
    "P34_EVIDENCE_WINDOW_SEC": ("300", "600"),
    "P34_ADOPT_CAUSES": (
        "liquidation,adl,settlement", "liquidation,adl,settlement", "liquidation,adl,settlement,stop",
        "liquidation",
    ),
    "P34_WEIGHT_PER_MIN": ("30", "60", "60"),
}  # fmt: skip
#: The share of seeds with closes, and from the hold to a close (seconds).
_CLOSES = 0.4
_CLOSE_AFTER_SEC = ("10", "10", "30")
#: As the service has them, of what is not drawn.
DEFAULTS = {name: values[-1] for name, values in _SETTINGS.items()} | {"P34_CLOSE": "off"}


def reconcile_environment(rng: Random) -> dict[str, str]:
    """Draw the settings."""
    drawn = {name: rng.choice(values) for name, values in _SETTINGS.items()}
    if rng.random() < _CLOSES:
        drawn |= {"P34_CLOSE": "excess", "P34_CLOSE_AFTER_SEC": rng.choice(_CLOSE_AFTER_SEC)}
    return drawn
