"""What all channels have in common."""

from __future__ import annotations

from typing import Protocol


class Channel(Protocol):
    """Any channel. Names are labels: no two channels share one."""

    @property
    def name(self) -> str:
        """What it is called on `/metrics` and `/status`."""
        ...

    @property
    def depth(self) -> int:
        """Messages waiting, or values kept."""
        ...
