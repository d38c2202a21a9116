"""Consumers of a group, as Redis lists them."""

from __future__ import annotations

from typing import NamedTuple


class GroupConsumer(NamedTuple):
    """Consumer of a group. `ours`: this one, or one of our former instances.

    `idle_ms`: since it last asked for entries; before Redis 7.2 since it was last given some.
    """

    name: str
    idle_ms: int
    pending: int
    ours: bool
