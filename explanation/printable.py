"""Text from outside, for a person to see as it is."""

from __future__ import annotations


def printable(text: str) -> str:
    """`text` with everything escaped that a terminal would obey or a screen not show.

    That is control characters, and the marks that turn the direction of what follows.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
