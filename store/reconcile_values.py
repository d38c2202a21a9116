"""Codec of the reconcile engine's keys, shared by the real Redis and its in-memory twin.

Operators and other services can write these keys: what cannot be read is named, never guessed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from brain.identifiers import Symbol
from brain.ledger.adoption import decode_adopted
from brain.ledger.ledger import StoredLedger
from store.keys import OWN_HOLD
from store.operator_records import Hold
from store.reconcile_records import Agreement, HoldChange, LedgerRepair, ReconcileView, RecordedOrder
from store.stored_values import UNREADABLE, read_ledger, read_moment, read_open_permits, read_text

STATE_TTL_MS = 86_400_000
#: As long as the executor's own record.
CLOSE_CLIENT_TTL_MS = 604_800_000
#: Phase of an order of a proposed close that has no record.
LOST = "lost"
#: Digits of a time in whole seconds.
_LONGEST_SEC = 12
#: Value of a hold that its owner has set, and the most by which hold and owner may end apart (ms).
HELD, TOGETHER_MS = b"1", 10
#: Of a ledger's adoption, behind those of the ledger itself.
_ADOPTION = ("version", "adopted_exchange_ms", "adopted_at_ms")
LEDGER_FIELDS = (*StoredLedger.__struct_fields__, *_ADOPTION)
#: Fields of a state: the agreement with version and amounts, the status, and its times.
NOTED_FIELDS = (
    "agreed_ms", "agreed_version", "agreed_amts", "agreed_began", "status", "last_seen_ts", "written_ms"
)  # fmt: skip


class ViewReply(NamedTuple):
    """A symbol as `reconcile_views.lua` returns it.

    `problem`: an error about the first key of a wrong type. `ledger` has LEDGER_FIELDS, `noted` NOTED_FIELDS,
    `permits` the open permits' fields; each is None where its key has a wrong type.
    """

    problem: bytes | None
    ledger: list[bytes | None] | None
    permits: Mapping[bytes, bytes] | None
    noted: list[bytes | None] | None
    hold: Hold | None


def read_view(symbol: Symbol, reply: ViewReply) -> ReconcileView:
    """Return the view of a symbol."""
    unreadable = None if reply.problem is None else reply.problem.decode(errors="replace")
    permits = read_open_permits(reply.permits) if reply.permits else None
    if unreadable is None and reply.permits and permits is None:
        unreadable = f"open permits of {symbol}: a field is no plan id"
    *agreed, status, seen_ts, written_ms = reply.noted or (None,) * len(NOTED_FIELDS)
    *_, version, adopted_ms, adopted_at_ms = reply.ledger or (None,) * len(LEDGER_FIELDS)
    return ReconcileView(
        ledger=read_ledger(reply.ledger and reply.ledger[: -len(_ADOPTION)]),
        version=read_text(version),
        permits={} if permits is None else dict(permits.permits),
        hold=reply.hold,
        agreed=_agreement(symbol, *agreed),
        status=read_text(status) or "",
        adopted_ms=_adopted_ms(adopted_ms),
        adopted_at_ms=read_moment(adopted_at_ms) or 0,
        others_sec=others_time_sec(seen_ts, written_ms),
        unreadable=unreadable,
    )


def _adopted_ms(stored: bytes | None) -> int:
    """Return the latest change of a leg that an adopted ledger contains.

    All legs were read together: until then it contains every trade of each.
    """
    adopted = decode_adopted(read_text(stored))
    return 0 if adopted is None else max(adopted.changed_ms.values(), default=0)


def others_time_sec(seen_ts: bytes | None, written_ms: bytes | None) -> int | None:
    """Return when another reconcile engine wrote a state (epoch s); None where this service did.

    This service writes `written_ms` with each `last_seen_ts`, of one moment; others know the latter alone.
    """
    text = read_text(seen_ts) or ""
    if not (text.isascii() and text.isdecimal() and len(text) <= _LONGEST_SEC):
        return None
    at_ms = read_moment(written_ms)
    return None if at_ms is not None and at_ms // 1000 == int(text) else int(text)


def _agreement(
    symbol: Symbol,
    stored_ms: bytes | None,
    stored_version: bytes | None,
    stored_amounts: bytes | None,
    stored_began: bytes | None,
) -> Agreement | None:
    at_ms, version = read_moment(stored_ms), read_text(stored_version)
    if at_ms is None or version is None or version == UNREADABLE:
        return None
    # Another release may have noted a later one without the amounts at its moment.
    of_ms, _, began = (read_text(stored_began) or "").partition(":")
    return Agreement(
        symbol, at_ms, version, read_text(stored_amounts) or "", began if of_ms == str(at_ms) else ""
    )


def agreement_fields(noted: Agreement) -> tuple[str, str, str, str]:
    """Return the values of `agreed_ms`, `agreed_version`, `agreed_amts` and `agreed_began`, as stored."""
    at_ms = str(noted.at_ms)
    return at_ms, noted.version, noted.amounts, f"{at_ms}:{noted.began}"


def recorded_order(phase: bytes | None, decision: bytes | None) -> RecordedOrder:
    """Return a record without a phase as one that cannot be read, without a decision as one that has none."""
    return RecordedOrder(read_text(phase) or UNREADABLE, read_text(decision) or "")


def is_own(hold: Hold | None) -> bool:
    """Return whether a hold is the engine's."""
    return hold is not None and hold.sig is not None and hold.sig.startswith(OWN_HOLD.encode())


def check_hold(change: HoldChange) -> None:
    """Raise ValueError for a hold that no script could set, or that would not be the engine's."""
    if change.sig and not (change.sig.startswith(OWN_HOLD) and change.ttl_ms > 0):
        raise ValueError(f"a hold of the engine is owned by {OWN_HOLD}… and expires: {change}")


def check_repair(repair: LedgerRepair) -> None:
    """Raise ValueError for a repair under a hold that is not the engine's, before or afterwards."""
    check_owner(repair.hold.before or "")
    check_hold(repair.hold)


def check_owner(sig: str) -> None:
    """Raise ValueError for an owner that is not the engine's."""
    if not sig.startswith(OWN_HOLD):
        raise ValueError(f"a hold of the engine is owned by {OWN_HOLD}…, not by {sig!r}")


def fields_of(ledger: StoredLedger) -> tuple[str | None, ...]:
    """Return the fields of a ledger, in the order of `LEDGER_FIELDS`, less those of its adoption."""
    return tuple(getattr(ledger, name) for name in StoredLedger.__struct_fields__)
