"""Parsers of Redis's replies into the store's records."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from redis.exceptions import RedisError

from brain.identifiers import EntryId, PlanId
from brain.ledger.ledger import StoredLedger
from store.errors import StoreError, WrongTypeError, unless_refused
from store.execution_values import WRONG_TYPE
from store.records import (
    AlreadyDecided,
    BookingKeys,
    BookingState,
    Broken,
    Changed,
    CommitReply,
    Committed,
    Entry,
    SymbolState,
    TooLate,
    Verdict,
)
from store.redis.errors import translate
from store.stored_values import read_text


def read_time(reply: Any) -> int:
    """Parse the reply of TIME: epoch milliseconds."""
    seconds, microseconds = reply
    return int(seconds) * 1000 + int(microseconds) // 1000


def value_of(answer: Any) -> Any:
    """Return a reply; `!` for a key of a wrong type. Raises StoreRefusedError for any other error."""
    if isinstance(answer, WrongTypeError):
        return WRONG_TYPE
    if isinstance(answer, StoreError):
        raise answer
    return answer


def read_entries(reply: Any) -> list[Entry]:
    """Parse XREADGROUP's RESP3 reply (ids and flat fields, by stream) for one stream."""
    if not reply:
        return []
    (entries,) = reply.values()
    return [
        Entry(EntryId(entry_id.decode()), dict(zip(flat[::2], flat[1::2], strict=True)))
        for entry_id, flat in entries
    ]


def read_booking_state(wanted: BookingKeys, answers: Sequence[Any]) -> BookingState:
    """Parse one of the states of `booking_states.lua`. Raises StoreRefusedError."""
    ledger, permit, mark, *memories = answers
    if isinstance(ledger, RedisError):
        refusal = translate(ledger)
        raise type(refusal)(f"ledger of {wanted.symbol}: {refusal}")
    *amounts, version, adopted_exchange_ms, adopted_at_ms = map(read_text, ledger)
    remembered = {
        order: text
        for order, memory in zip(wanted.order_ids, memories, strict=True)
        if (text := read_text(memory)) is not None
    }
    return BookingState(
        ledger=StoredLedger(*amounts),
        version=version,
        orders=remembered,
        permit=read_text(permit),
        plan_mark=read_text(mark),
        adopted_exchange_ms=adopted_exchange_ms,
        adopted_at_ms=adopted_at_ms,
    )


def read_booked(answer: Any) -> int | None:
    """Parse the answer to one result of `commit_results.lua`. Raises StoreRefusedError."""
    if isinstance(answer, RedisError):
        raise translate(answer)
    return answer if isinstance(answer, int) else None


def read_each_booked(answers: Sequence[Any]) -> list[int | None]:
    """Parse a reply of `commit_results.lua`; None also for a result that was refused."""
    return [unless_refused(read_booked, answer) for answer in answers]


def read_commit_reply(replies: Sequence[Any]) -> CommitReply:
    """Parse the replies of `commit_decisions.lua`, in order. Raises the first error among them."""
    verdicts: list[Verdict] = []
    now_ms = 0
    for reply in replies:
        if isinstance(reply, StoreError):
            raise reply
        now_ms = reply[0]
        verdicts += map(_read_verdict, reply[1:])
    return CommitReply(now_ms, tuple(verdicts))


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
