"""Findings of a command about a deployment: a line each, with a fix for what is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

import msgspec

_MOST_NAMED = 3


class Verdict(StrEnum):
    """Result of a check. Only FAILED makes a command fail. SKIPPED: not checked, and `detail` says why."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "skipped"


class Finding(msgspec.Struct, frozen=True):
    """One line: `detail` is the result, `fix` the remedy, empty where none is needed."""

    name: str
    verdict: Verdict
    detail: str
    fix: str = ""


def ok(name: str, detail: str) -> Finding:
    """Return a check that passed."""
    return Finding(name, Verdict.OK, detail)


def warning(name: str, detail: str, fix: str) -> Finding:
    """Return a check that passed with something to look at."""
    return Finding(name, Verdict.WARNING, detail, fix)


def failed(name: str, detail: str, fix: str) -> Finding:
    """Return a check that failed."""
    return Finding(name, Verdict.FAILED, detail, fix)


def skipped(name: str, detail: str, fix: str = "") -> Finding:
    """Return a check that could not be made."""
    return Finding(name, Verdict.SKIPPED, detail, fix)


def named(symbols: Sequence[str]) -> str:
    """Return the first three symbols, and the number of the others."""
    more = f" and {len(symbols) - _MOST_NAMED} more" if len(symbols) > _MOST_NAMED else ""
    return f"{', '.join(symbols[:_MOST_NAMED])}{more}"
