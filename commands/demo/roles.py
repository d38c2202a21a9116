"""Roles of the chain that the daemon of the demo has; all others are played."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from enum import StrEnum


class Role(StrEnum):
    """A role that the daemon can have."""

    UNIVERSE = "universe"
    INTENT_BRIDGE = "intent_bridge"
    GOVERNOR = "governor"
    EXECUTOR = "executor"
    RECONCILE = "reconcile"
    DECISION_INTELLIGENCE = "decision_intelligence"


ALL_ROLES = frozenset(Role)
#: A lost result is explained by its permit until the grace is over: shorter than usual.
_RESULT_LOST = {"P33_PERMIT_TTL": "5", "P33_EXECUTION_GRACE_SEC": "11"}
#: No quantity of the scenarios is cut, and an entry may follow a close at once.
_INTENT_BRIDGE = {
    "P33_INTENT_BRIDGE": "on",
    "INTENT_BRIDGE_EXIT_LANES": "exit.intent,harvest.intent",
    "QT_MAX_NOTIONAL_USD": "0",
    "MIN_HOLD_SECONDS": "0",
}
#: Limits that the demo's 56 symbols fill in part and never reach: their plans come many times a minute.
_GOVERNOR = {
    "P33_GOVERNOR": "on",
    "GOV_MAX_EXEC_PER_HOUR": "1000",
    "GOV_MAX_EXEC_PER_5MIN": "200",
    "GOV_MAX_OPEN_POSITIONS": "100",
    "GOV_MAX_NOTIONAL_PER_TRADE_USDT": "5000",
    "GOV_MAX_TOTAL_NOTIONAL_USDT": "500000",
    "GOV_SYMBOL_COOLDOWN_SECONDS": "0",
    "GOV_Z_WARMUP": "5",
    # Also for executors that are played: they would wait for a permit in vain.
    "GOV_DENY_PERMITS": "true",
}
#: Quicker than usual, and with weight for a look at each event of the stage.
_RECONCILE = {
    "P33_RECONCILE": "on",
    "P34_SETTLE_SEC": "1",
    "P34_CLEAR_AFTER_SEC": "1",
    "P34_WEIGHT_PER_MIN": "600",
}
#: As `--roles` takes them.
NAMES = ",".join(Role)


def read_roles(text: str) -> frozenset[Role]:
    """Parse names with commas; none is allowed. Raises ArgumentTypeError."""
    names = [name for part in text.split(",") if (name := part.strip())]
    if unknown := [name for name in names if name not in list(Role)]:
        raise argparse.ArgumentTypeError(f"no role {unknown[0]!r}: there are {NAMES}")
    return frozenset(map(Role, names))


def switches_of(roles: frozenset[Role], *, outside_universe: Sequence[str]) -> dict[str, str]:
    """Return the settings of the daemon that switch these roles on.

    `outside_universe`: symbols that the universe leaves out.
    """
    switches: dict[str, str] = {}
    if Role.UNIVERSE in roles:
        switches |= {
            "P33_UNIVERSE": "on",
            "UNIVERSE_BLACKLIST": ",".join(outside_universe),
            # Else its first list would be read a minute after the start, and an end seen a minute late.
            "P33_ALLOWLIST_REFRESH_S": "1",
            "UNIVERSE_REFRESH_SEC": "10",
        }
    if Role.INTENT_BRIDGE in roles:
        switches |= _INTENT_BRIDGE
    if Role.GOVERNOR in roles:
        switches |= _GOVERNOR
    if Role.EXECUTOR in roles:
        # The dearest order of the scenarios; 500 USDT by default.
        switches |= {"P33_EXECUTOR": "on", "EXEC_MAX_NOTIONAL_USDT": "5000"}
    if Role.RECONCILE in roles:
        switches |= _RECONCILE
    if Role.DECISION_INTELLIGENCE in roles:
        switches["P33_DECISION_INTELLIGENCE"] = "on"
    if {Role.EXECUTOR, Role.RECONCILE} <= roles:
        switches |= _RESULT_LOST
    return switches


def roles_text(roles: frozenset[Role]) -> str:
    """Name the roles in their order, as in `roles universe and executor`."""
    names = [role for role in Role if role in roles]
    if len(names) == 1:
        return f"role {names[0]}"
    return f"roles {', '.join(names[:-1])} and {names[-1]}"


def played_text(roles: frozenset[Role]) -> str:
    """Name the services that the demo plays."""
    universe = [] if Role.UNIVERSE in roles else ["universe"]
    governor = [] if Role.GOVERNOR in roles else ["Governor"]
    executors = [] if Role.EXECUTOR in roles else ["executors"]
    reconcile = [] if Role.RECONCILE in roles else ["reconcile engine"]
    strategies = "strategies" if Role.INTENT_BRIDGE in roles else "publishers"
    return ", ".join([*universe, strategies, *governor, *reconcile, *executors])
