"""Roles of the chain that the daemon of the demo has; all others are played."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from enum import StrEnum


class Role(StrEnum):
    """A role that the daemon can have."""

    UNIVERSE = "universe"
    EXECUTOR = "executor"


ALL_ROLES = frozenset(Role)
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
            # Else its first list would be read a minute after the start.
            "P33_ALLOWLIST_REFRESH_S": "1",
        }
    if Role.EXECUTOR in roles:
        # The dearest order of the scenarios; 500 USDT by default.
        switches |= {"P33_EXECUTOR": "on", "EXEC_MAX_NOTIONAL_USDT": "5000"}
    return switches


def roles_text(roles: frozenset[Role]) -> str:
    """Name the roles in their order, as in `roles universe and executor`."""
    names = [role for role in Role if role in roles]
    return f"role{'s' if len(names) > 1 else ''} {' and '.join(names)}"


def played_text(roles: frozenset[Role]) -> str:
    """Name the services that the demo plays."""
    universe = [] if Role.UNIVERSE in roles else ["universe"]
    executors = [] if Role.EXECUTOR in roles else ["executors"]
    return ", ".join([*universe, "publishers", "Governor", "reconcile engine", *executors])
