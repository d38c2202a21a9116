"""Several messages for the log at once: a batch of decisions is one write, and a line each."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self


class LogLines(str):
    """Messages of one moment and level. Each becomes a line of its own, as if it had been logged alone."""

    __slots__ = ("messages",)

    messages: tuple[str, ...]

    def __new__(cls, messages: Iterable[str]) -> Self:
        """As text, where somebody knows nothing of this type, a line each."""
        told = tuple(messages)
        lines = super().__new__(cls, "\n".join(told))
        lines.messages = told
        return lines
