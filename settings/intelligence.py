"""Environment variables of decision intelligence (P3.5)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from settings import kinds
from settings.variable import derived, setting


def _symbol_breakdown(known: Mapping[str, Any]) -> str:
    """Return the value by the former name."""
    return "true" if known.get("enable_symbol_breakdown", True) else "false"


@dataclass(frozen=True, kw_only=True)
class IntelligenceSettings:
    """Settings of decision intelligence. Durations are seconds."""

    intelligence_refresh_sec: float = setting(
        "P35_REFRESH_SEC",
        kinds.seconds(1, 300),
        "5",
        "P3.5: how often the windows over results are rebuilt",
    )
    enable_symbol_breakdown: bool = setting(
        "ENABLE_SYMBOL_BREAKDOWN", kinds.flag(), "true", "P3.5: the next one by its former name"
    )
    symbol_breakdown: bool = derived(
        "P35_SYMBOL_BREAKDOWN",
        kinds.flag(),
        _symbol_breakdown,
        "P3.5: count reasons by symbol, too",
    )
