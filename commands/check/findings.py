"""Findings of a command about a deployment: a line each, with a fix for what is wrong."""

from __future__ import annotations

from enum import StrEnum

import msgspec


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
