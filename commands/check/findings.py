"""What a command has found out about a deployment, a line each, with a way to mend what is wrong."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Verdict(StrEnum):
    """Only a failure makes a command fail. Skipped: it could not be looked at, and `told` says why."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "skipped"


class Finding(msgspec.Struct, frozen=True):
    """One line. `told` is what was seen, `fix` what to do about it; empty where nothing has to be done."""

    name: str
    verdict: Verdict
    told: str
    fix: str = ""


def ok(name: str, told: str) -> Finding:
    """All is as it has to be."""
    return Finding(name, Verdict.OK, told)


def warning(name: str, told: str, fix: str) -> Finding:
    """It works, and somebody should look at it."""
    return Finding(name, Verdict.WARNING, told, fix)


def failed(name: str, told: str, fix: str) -> Finding:
    """It does not work, or not safely."""
    return Finding(name, Verdict.FAILED, told, fix)


def skipped(name: str, told: str, fix: str = "") -> Finding:
    """Nobody could look."""
    return Finding(name, Verdict.SKIPPED, told, fix)
