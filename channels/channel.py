"""The protocol of all channels."""

from __future__ import annotations

from typing import Protocol


class Channel(Protocol):
    """Any channel. Names are labels: no two channels share one."""

    @property
    def name(self) -> str:
        """Return its name on `/metrics` and `/status`."""
        ...

    @property
    def depth(self) -> int:
        """Return the number of messages waiting, or of values kept."""
        ...
