"""Words of a role for its comparison."""

from __future__ import annotations

from typing import NamedTuple


class Words(NamedTuple):
    """Words for its decisions, and for yes and no."""

    decisions: str
    yes: str
    no: str
