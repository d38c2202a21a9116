"""All environment variables, one class for each part of the service that they belong to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

from settings.executor import REFUSED_IN_ANY_CASE, ExecutorSettings
from settings.governor import GovernorSettings
from settings.intelligence import IntelligenceSettings
from settings.intent_bridge import IntentBridgeSettings
from settings.notices import NoticeSettings
from settings.reconcile import ReconcileSettings
from settings.roles import ExecutorMode, RoleSettings
from settings.service import Credentials, ServiceSettings
from settings.universe import UniverseSettings
from settings.variable import Variable

__all__ = ["FIELD_OF", "VARIABLES", "Credentials", "Settings"]


# Fields are in the order of the bases, the last one first: those of the guard come before all others.
@dataclass(frozen=True, kw_only=True)
class Settings(
    IntentBridgeSettings,
    IntelligenceSettings,
    ReconcileSettings,
    GovernorSettings,
    ExecutorSettings,
    UniverseSettings,
    RoleSettings,
    NoticeSettings,
    ServiceSettings,
):
    """All settings, parsed. Durations are seconds.

    `settings.load` returns them, and checks the rules between variables; `Settings()` has every default.
    """

    @property
    def executing(self) -> ExecutorMode:
        """Mode of the executor: `P33_EXECUTOR`, with `on` lowered by `APPLY_MODE=dry_run`."""
        return "dry_run" if self.executor == "on" and self.apply_mode == "dry_run" else self.executor

    @property
    def usable_universe_mode(self) -> str:
        """Mode of the universe that is used; empty for any, where another service publishes it."""
        return "" if self.universe == "off" else self.universe_mode


FIELD_OF: Final[Mapping[str, str]] = {item.metadata["variable"].name: item.name for item in fields(Settings)}
"""The field of `Settings` that holds a variable, by the variable's name, in the order of declaration."""

VARIABLES: Final[tuple[Variable, ...]] = tuple(item.metadata["variable"] for item in fields(Settings))
"""All variables, in the order of declaration."""

_OF_ROLES: Final = {
    "P33_UNIVERSE": UniverseSettings,
    "P33_EXECUTOR": ExecutorSettings,
    "P33_GOVERNOR": GovernorSettings,
    "P33_RECONCILE": ReconcileSettings,
    "P33_INTENT_BRIDGE": IntentBridgeSettings,
    "P33_DECISION_INTELLIGENCE": IntelligenceSettings,
}

#: Of a second role besides the one that it is declared for.
_ALSO_OF: Final = {"P34_HOLD_TTL_SEC": "P33_RECONCILE"}


def switched_off(name: str, known: Mapping[str, Any]) -> str | None:
    """Return the switch, which is off, of the role that a variable belongs to; None for any other variable.

    What must not be true in any case (`GOVERNOR_BYPASS`) belongs to none.
    """
    for switch, settings in _OF_ROLES.items():
        if FIELD_OF[name] in settings.__annotations__ and name not in REFUSED_IN_ANY_CASE:
            of_it = (switch, _ALSO_OF.get(name, switch))
            return switch if all(known[FIELD_OF[each]] == "off" for each in of_it) else None
    return None
