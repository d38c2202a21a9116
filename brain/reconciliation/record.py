"""Record of weighed evidence: its complete input and outcome, as text and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from brain.json_text import read_json
from brain.reconciliation.drift import Drift
from brain.reconciliation.evidence import Evidence, Explained, Finding, Unexplained
from brain.reconciliation.rules import DriftCause
from brain.reconciliation.weighing import weigh

#: A longer record is left out: an event must stay small, whatever an account has traded (characters).
LONGEST_RECORD: Final = 16_384
_JSON = msgspec.json.Encoder()


class UnreadableWeighingError(ValueError):
    """Bytes are no record of weighed evidence."""


class Weighed(msgspec.Struct, frozen=True):
    """Evidence of a drift with what it proves. A new field needs a default: older records lack it.

    One of `explained` and `unexplained` is the finding. `adopted`: causes that are booked besides the own
    ones.
    """

    drift: Drift
    evidence: Evidence
    adopted: frozenset[DriftCause]
    explained: Explained | None = None
    unexplained: Unexplained | None = None
    v: int = 1

    @property
    def finding(self) -> Finding:
        """Return the finding. Raises UnreadableWeighingError where there is none."""
        found = self.explained or self.unexplained
        if found is None:
            raise UnreadableWeighingError("a record of weighed evidence without a finding")
        return found


class WeighedAgain(msgspec.Struct, frozen=True):
    """Finding as recorded, and as the rules give it now."""

    record: Weighed
    finding: Finding

    @property
    def same_answer(self) -> bool:
        """True if both book the same fills."""
        return _booked(self.record.finding) == _booked(self.finding)

    @property
    def identical(self) -> bool:
        """True if both are equal in every value."""
        return self.record.finding == self.finding

    def differences(self) -> list[tuple[str, object, object]]:
        """Return name, recorded and present value of each difference, as JSON values."""
        before, now = _values(self.record.finding), _values(self.finding)
        names = [*now, *(name for name in before if name not in now)]
        return [
            (name, before.get(name), now.get(name)) for name in names if before.get(name) != now.get(name)
        ]


_RECORDS: Final = msgspec.json.Decoder(Weighed)


def weighed(drift: Drift, evidence: Evidence, adopted: frozenset[DriftCause]) -> Weighed:
    """Weigh evidence, and keep what it was weighed on."""
    finding = weigh(drift, evidence, adopted)
    if isinstance(finding, Explained):
        return Weighed(drift, evidence, adopted, explained=finding)
    return Weighed(drift, evidence, adopted, unexplained=finding)


def record_details(record: Weighed | None) -> dict[str, str]:
    """Return the detail of an event that has the record; none of a record that is too long, or of none."""
    text = "" if record is None else _JSON.encode(record).decode()
    return {"record": text} if 0 < len(text) <= LONGEST_RECORD else {}


def weigh_again(text: bytes | str, changed_rules: Mapping[str, Any] | None = None) -> WeighedAgain:
    """Weigh the evidence of a record again; `adopted` of `changed_rules` replaces its causes.

    Raises UnreadableWeighingError.
    """
    try:
        record = read_json(_RECORDS, text)
        recorded = msgspec.structs.replace(record, **(changed_rules or {}))
    except (msgspec.MsgspecError, ValueError) as error:
        raise UnreadableWeighingError(f"not a record of weighed evidence: {error}") from None
    _ = record.finding
    return WeighedAgain(record, weigh(recorded.drift, recorded.evidence, recorded.adopted))


def _booked(finding: Finding) -> object:
    return finding.adopted if isinstance(finding, Explained) else None


def _values(finding: Finding) -> dict[str, object]:
    values: dict[str, object] = msgspec.to_builtins(finding)
    return values
