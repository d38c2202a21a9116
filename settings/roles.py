"""Environment variables that switch roles on: the other players of the chain that this service can be."""

# The declarations below are calls that return dataclass fields, like `dataclasses.field`.
# ruff: noqa: RUF009

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from settings import kinds
from settings.variable import setting

RoleMode = Literal["off", "shadow", "on"]
ExecutorMode = Literal["off", "dry_run", "on"]
IntelligenceMode = Literal["off", "on"]


@dataclass(frozen=True, kw_only=True)
class RoleSettings:
    """Switches of the roles, read at the start only."""

    governor: RoleMode = setting(
        "P33_GOVERNOR",
        kinds.one_of("off", "shadow", "on"),
        "off",
        "the Governor (P3.2): permits by limits and kill score",
    )
    reconcile: RoleMode = setting(
        "P33_RECONCILE",
        kinds.one_of("off", "shadow", "on"),
        "off",
        "the reconcile engine (P3.4): holds and repairs",
    )
    executor: ExecutorMode = setting(
        "P33_EXECUTOR",
        kinds.one_of("off", "dry_run", "on"),
        "off",
        "the executor (P3): sends the orders of permitted plans",
    )
    universe: RoleMode = setting(
        "P33_UNIVERSE",
        kinds.one_of("off", "shadow", "on"),
        "off",
        "the Universe Service: publishes the symbols that may be opened",
    )
    intent_bridge: RoleMode = setting(
        "P33_INTENT_BRIDGE",
        kinds.one_of("off", "shadow", "on"),
        "off",
        "the Intent Bridge: makes plans of intents",
    )
    decision_intelligence: IntelligenceMode = setting(
        "P33_DECISION_INTELLIGENCE",
        kinds.one_of("off", "on"),
        "off",
        "Decision Intelligence (P3.5): counts of results by gate and reason",
    )
    take_over: bool = setting(
        "P33_TAKE_OVER",
        kinds.flag(),
        "false",
        "start a role although another player of it works on the same stream",
    )
