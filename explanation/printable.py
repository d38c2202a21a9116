"""Escapes for untrusted text on a terminal or page."""

from __future__ import annotations


def printable(text: str) -> str:
    """Escape control characters and the marks that change the direction of text."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
