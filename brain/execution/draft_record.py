"""Audit record of a drafted order: its complete input and outcome, as text and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from brain.execution.case import ExecutionCase
from brain.execution.drafting import Drafted, OrderDraft, draft
from brain.json_text import read_json

_JSON = msgspec.json.Encoder()


class UnreadableDraftError(ValueError):
    """Bytes are no record of a drafted order."""


class DraftRecord(msgspec.Struct, frozen=True):
    """Record. A new field here, or in a struct inside it, needs a default: older records lack it."""

    case: ExecutionCase
    order: OrderDraft | None
    error: str
    v: int = 1


class DraftedAgain(msgspec.Struct, frozen=True):
    """Draft as recorded, and as the rules give it now."""

    record: DraftRecord
    drafted: Drafted

    @property
    def same_answer(self) -> bool:
        """True if both send the same order, or none for the same reason."""
        return (self.record.order, self.record.error) == (self.drafted.order, self.drafted.error)

    @property
    def identical(self) -> bool:
        """True if both are equal in every value."""
        return self.same_answer

    def differences(self) -> list[tuple[str, object, object]]:
        """Return name, recorded and present value of each difference, as JSON values."""
        before, now = (_values(each.order, each.error) for each in (self.record, self.drafted))
        return [(name, before[name], now[name]) for name in before if before[name] != now[name]]


_RECORDS: Final = msgspec.json.Decoder(DraftRecord)
_NO_ORDER: Final = dict.fromkeys(OrderDraft.__struct_fields__)


def record_text(drafted: Drafted) -> str:
    """Return the record of a draft."""
    return _JSON.encode(DraftRecord(drafted.case, drafted.order, drafted.error)).decode()


def draft_again(text: bytes | str, changed_limits: Mapping[str, object] | None = None) -> DraftedAgain:
    """Draft the order of a record again; `changed_limits` replace values of its `SizeLimits`.

    Raises UnreadableDraftError.
    """
    try:
        record = read_json(_RECORDS, text)
    except (msgspec.MsgspecError, ValueError) as error:
        raise UnreadableDraftError(f"not a record of a drafted order: {error}") from None
    case = record.case
    if changed_limits:
        limits = msgspec.structs.replace(case.limits, **changed_limits)
        case = msgspec.structs.replace(case, limits=limits)
    return DraftedAgain(record, draft(case))


def _values(order: OrderDraft | None, error: str) -> dict[str, object]:
    members = _NO_ORDER if order is None else msgspec.structs.asdict(order)
    return {name: msgspec.to_builtins(value) for name, value in {**members, "error": error}.items()}
