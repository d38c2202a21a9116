"""Intent bridge, decision intelligence and universe of a seed: whether they are there, and their settings."""

from __future__ import annotations

from random import Random
from typing import Literal

#: The service's own bridge makes the plans (`on`), or says which it would make (`shadow`).
BridgeMode = Literal["off", "shadow", "on"]
UniverseMode = Literal["off", "shadow", "on"]
_ABSENT = 0.5
_SHADOWS = 0.15
EXIT_LANES = ("exit.intent", "harvest.intent")
_BRIDGE = {
    "INTENT_BRIDGE_EXIT_LANES": ("none", ",".join(EXIT_LANES), ",".join(EXIT_LANES), *EXIT_LANES),
    "INTENT_BRIDGE_MAX_AGE_SEC": ("2", "5", "30", "30"),
    "INTENT_BRIDGE_SKIP_FLAT_SELL": ("false", "false", "true"),
    "MIN_HOLD_SECONDS": ("0", "0", "2", "20", "900"),
    "QT_MAX_NOTIONAL_USD": ("0", "500", "3000", "3000"),
    "COST_TAKER_FEE_RATE": ("0.0004", "0", "0.00055"),
}
#: As the service has them, of what is not drawn.
DEFAULTS = {
    **{name: values[-1] for name, values in _BRIDGE.items()},
    "MAX_EXPOSURE_PCT": "",
    "P35_REFRESH_SEC": "5",
    "P35_SYMBOL_BREAKDOWN": "true",
}
#: Per cent of the equity, which only the Governor writes down here.
_EXPOSURES = (None, None, "50", "400")


def bridge_of(seed: str, wanted: BridgeMode | None = None) -> BridgeMode:
    """Return what the service's own bridge does: it makes plans in half of the seeds, some in the shadow.

    `wanted` decides instead, where it is given.
    """
    rng = Random(f"{seed}:intent bridge")
    there, shadow = rng.random() > _ABSENT, rng.random() < _SHADOWS
    return wanted or ("off" if not there else "shadow" if shadow else "on")


def has_intelligence(seed: str, wanted: bool | None = None) -> bool:
    """Return whether results are counted: in half of the seeds, unless `wanted` decides."""
    return Random(f"{seed}:intelligence").random() < _ABSENT if wanted is None else wanted


def universe_of(seed: str, wanted: bool | None = None) -> UniverseMode:
    """Return what the service's own universe publisher does: it is there in half of the seeds.

    `wanted` decides instead whether it is there at all, where that is given.
    """
    rng = Random(f"{seed}:universe")
    there = rng.random() > _ABSENT if wanted is None else wanted
    return "off" if not there else "shadow" if rng.random() < _SHADOWS else "on"


def bridge_environment(rng: Random, *, equity: bool) -> dict[str, str]:
    """Draw the bridge's settings. `equity`: somebody writes down what the account is worth."""
    environment = {name: rng.choice(values) for name, values in _BRIDGE.items()}
    exposure = rng.choice(_EXPOSURES)
    return environment if exposure is None or not equity else environment | {"MAX_EXPOSURE_PCT": exposure}


def intelligence_environment(rng: Random) -> dict[str, str]:
    """Draw the settings of decision intelligence."""
    return {
        "P35_REFRESH_SEC": rng.choice(("2", "5", "15")),
        "P35_SYMBOL_BREAKDOWN": rng.choice(("true", "true", "false")),
    }


def universe_environment(rng: Random) -> dict[str, str]:
    """Draw the universe's settings."""
    return {
        "UNIVERSE_REFRESH_SEC": rng.choice(("10", "15")),
        "UNIVERSE_MAX_SHRINK_PCT": rng.choice(("20", "50")),
    }
