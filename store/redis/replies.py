"""Parsers of Redis's replies into the store's records."""

from __future__ import annotations

from typing import Any

from brain.identifiers import EntryId, PlanId
from brain.ledger.ledger import StoredLedger
from store.records import (
    AlreadyDecided,
    Broken,
    Changed,
    CommitReply,
    Committed,
    Entry,
    SymbolState,
    TooLate,
    Verdict,
)
from store.stored_values import read_text


def read_entries(reply: Any) -> list[Entry]:
    """Parse XREADGROUP's RESP3 reply (ids and flat fields, by stream) for one stream."""
    if not reply:
        return []
    (entries,) = reply.values()
    return [
        Entry(EntryId(entry_id.decode()), dict(zip(flat[::2], flat[1::2], strict=True)))
        for entry_id, flat in entries
    ]


def read_commit_reply(reply: list[Any]) -> CommitReply:
    """Parse the reply of `commit_decisions.lua`."""
    return CommitReply(reply[0], tuple(map(_read_verdict, reply[1:])))


def _read_verdict(verdict: list[Any]) -> Verdict:
    match verdict:
        case [b"committed", int(expires_ms)]:
            return Committed(expires_ms)
        case [b"decided"]:
            return AlreadyDecided()
        case [b"late"]:
            return TooLate()
        case [b"broken", bytes(error)]:
            return Broken(error.decode(errors="replace"))
        case [b"changed", hold, cooldown, amount, order_id, order_time, long, short, version, settled, live]:
            return Changed(
                SymbolState(
                    hold=bool(hold),
                    cooldown=read_text(cooldown),
                    ledger=StoredLedger(*map(read_text, (amount, order_id, order_time, long, short))),
                    permits_version=read_text(version),
                    permits=tuple(
                        (PlanId(plan_id.decode(errors="replace")), value.decode(errors="replace"))
                        for plan_id, value in zip(live[::2], live[1::2], strict=True)
                    ),
                    settled=bool(settled),
                )
            )
    raise ValueError(f"commit_decisions answered {verdict!r}")
