"""Rows of the table that `check --measure` prints: asked, found, documented, and how these compare."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Certainty(StrEnum):
    """Kinds of knowledge before the measurement."""

    CERTAIN = "certain"
    LIKELY = "likely"
    MEASURED = "measured by others"
    CONTRADICT = "contradict"
    UNKNOWN = "unknown"


class Outcome(StrEnum):
    """Results of a measurement. `MEASURED`: no document said it, or several contradicted each other.

    `UNMEASURED` and `FAILED` make the command's exit code 1; `FAILED` also needs a person at once.
    """

    AGREES = "as documented"
    DIFFERS = "DIFFERS"
    MEASURED = "measured"
    UNMEASURED = "NOT MEASURED"
    FAILED = "FAILED"
    SKIPPED = "skipped"


class Documents(msgspec.Struct, frozen=True):
    """Binance's documents, or public measurements, on one question."""

    certainty: Certainty
    said: str = ""

    def __str__(self) -> str:
        return f"{self.certainty}: {self.said}" if self.said else str(self.certainty)


class Row(msgspec.Struct, frozen=True):
    """One line of the table."""

    asked: str
    found: str
    documents: Documents
    outcome: Outcome = msgspec.field(name="result")

    @property
    def is_failure(self) -> bool:
        """Makes the exit code 1."""
        return self.outcome in (Outcome.UNMEASURED, Outcome.FAILED)


UNKNOWN = Documents(Certainty.UNKNOWN)


def certain(said: str) -> Documents:
    """Binance's documents say so."""
    return Documents(Certainty.CERTAIN, said)


def likely(said: str) -> Documents:
    """Examples in Binance's documents, or third parties, show so."""
    return Documents(Certainty.LIKELY, said)


def compared(asked: str, found: str, documents: Documents, *, agrees: bool) -> Row:
    """Return a measurement of what the documents say, too."""
    return Row(asked, found, documents, Outcome.AGREES if agrees else Outcome.DIFFERS)


def measured(asked: str, found: str, documents: Documents = UNKNOWN) -> Row:
    """Return a measurement of what the documents leave open."""
    return Row(asked, found, documents, Outcome.MEASURED)


def unmeasured(asked: str, why: str, documents: Documents = UNKNOWN) -> Row:
    """Return a measurement that could not be made."""
    return Row(asked, why, documents, Outcome.UNMEASURED)


def skipped(asked: str, why: str, documents: Documents = UNKNOWN) -> Row:
    """Return a measurement that the user did not ask for."""
    return Row(asked, why, documents, Outcome.SKIPPED)


def failed(asked: str, what: str, documents: Documents = UNKNOWN) -> Row:
    """Return a state that a person has to correct at once."""
    return Row(asked, what, documents, Outcome.FAILED)
