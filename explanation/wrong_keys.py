"""Cooldown keys and holds that other services wrote in a form that denies plans until it is corrected."""

from __future__ import annotations

from brain.numbers import NotANumberError, parse_decimal
from explanation.printable import printable

_LONGEST_SHOWN = 40


def cooldown_problem(key: str, *, kind: str, stored: str | None) -> str | None:
    """Return what is wrong with a cooldown key and what to do about it; None for one that can be read.

    `kind` is what Redis's TYPE answers, `stored` the value of a string (None: no short ASCII text).
    """
    fix = "its plans are denied; delete it, or set it to epoch ms"
    if kind != "string":
        return f"{key} holds a {kind}, not a string: {fix}"
    if stored is None:
        return f"{key} holds bytes that are no number: {fix}"
    if not stored:
        return f"{key} is empty: {fix}"
    try:
        parse_decimal(stored)
    except NotANumberError:
        return f"{key} holds '{printable(stored[:_LONGEST_SHOWN])}', which is no number: {fix}"
    return None


def hold_problem(key: str, *, kind: str) -> str | None:
    """Return what is wrong with a reconcile hold; None for a string, whatever it says."""
    if kind == "string":
        return None
    return f"{key} holds a {kind}, not a string: its plans are denied; delete it"
