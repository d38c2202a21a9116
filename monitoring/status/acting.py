"""Whether a role acts: only the lease's holder does, and not beside another player."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from channels import Lease


class Obstacle(NamedTuple):
    """Why a role does not act, as a sentence; `waits_for` is None where it is the lease."""

    doing: str
    waits_for: str | None = None


def obstacle_of(
    actor: str, lease: Lease | None, waits: Sequence[tuple[str, str]], *, begins: str = ""
) -> Obstacle | None:
    """Return why the role of an actor does not act; None where it does.

    `waits`: the tree's, as (path, dependency); only those count that begin so.
    """
    if lease is None or lease.fence is None:
        return Obstacle("waits for the lease")
    for path, what in waits:
        if path.endswith(f"/{actor}") and what.startswith(begins):
            return Obstacle(f"waits: {what}", what)
    return None
