"""The colour of a state on the page."""

from __future__ import annotations

from enum import StrEnum


class Tone(StrEnum):
    """The colour of a state. ASIDE: in order, a standby."""

    GOOD = "good"
    WATCH = "watch"
    BAD = "bad"
    ASIDE = "aside"
