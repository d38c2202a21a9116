"""Parsers of stored values, shared by the real Redis and its in-memory twin.

Operators and other services can write these keys, so every parser has a result for invalid bytes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from brain.identifiers import FencingToken, PlanId
from brain.ledger.ledger import StoredLedger
from store.records import LastExecution, LeaseReply, RedisRun, SymbolState

#: Stands for an existing value that cannot be read; no parser takes it for a number.
UNREADABLE = "!unreadable"

_LONGEST_UNKNOWN = 512
_READABLE = re.compile(rb"[ -~]{0,256}")
_ENTRY_ID = re.compile(rb"[0-9]{1,15}-[0-9]{1,15}")
_ID_PARTS = re.compile(rb"([0-9]+)-([0-9]+)")
_RUN = re.compile(rb"([ -~]{1,100})\|([0-9]{1,15})")
_EVICTIONS = re.compile(rb"([ -~]{1,100})\|([0-9]{1,15})\|([0-9]{1,15})")
_PERMIT_FIELD = re.compile(rb"p:([ -~]+)")
_MOMENT = re.compile(rb"[0-9]{1,15}")


def read_text(reply: Any) -> str | None:
    """Return a value as text: None when missing, `UNREADABLE` for an error or anything but short ASCII.

    The scripts read values by the same rule, so that both sides of a comparison agree on invalid bytes.
    """
    if reply is None:
        return None
    if not isinstance(reply, bytes) or not _READABLE.fullmatch(reply):
        return UNREADABLE
    return reply.decode("ascii")


def read_unknown(reply: Any) -> str | None:
    """Return a stored unknown outcome as text (its symbol need not be ASCII), None for anything else."""
    if not isinstance(reply, bytes) or len(reply) > _LONGEST_UNKNOWN:
        return None
    return reply.decode(errors="replace")


def read_unknown_outcomes(stored: Mapping[bytes, bytes]) -> tuple[tuple[PlanId, str], ...]:
    """Return unknown outcomes by plan id, sorted; entries of another format are left out."""
    read = {PlanId(plan.decode("ascii", "replace")): read_unknown(value) for plan, value in stored.items()}
    return tuple((plan, text) for plan, text in sorted(read.items()) if text is not None)


def read_group_start(last_result_id: bytes | None, *, lost: bool, now_ms: int) -> str:
    """Return the result group's start: behind the last booked result that had none pending before it.

    Without a stored id: from now on, or if `lost` from the start. With an unreadable id: from the start,
    since order memory makes a repeated result harmless and a skipped one is lost. The same for an id ahead of
    Redis's clock (`now_ms`): a recreated stream begins below it.
    """
    if last_result_id is None:
        return "0" if lost else "$"
    if not _ENTRY_ID.fullmatch(last_result_id) or int(last_result_id.partition(b"-")[0]) > now_ms:
        return "0"
    return last_result_id.decode()


def group_begin(now_ms: int) -> str:
    """Return the id behind which everything is that comes from now on, by Redis's clock."""
    return f"{now_ms - 1}-0"


def id_parts(entry_id: bytes) -> tuple[int, int]:
    """Return the order of a stored entry id, as the scripts do: lowest for anything else."""
    found = _ID_PARTS.fullmatch(entry_id)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def read_run(
    stored: bytes | None, known_run_id: str | None, *, run_id: str, now_ms: int, evicted_ms: int
) -> tuple[RedisRun, str | None]:
    """Compare Redis's run with the stored one; return also the text to store, None if unchanged.

    A known run without a stored one was emptied, and counts as a new run, unless it has just evicted keys
    (`evicted_ms`). An unreadable stored run counts as a new run, too: one recovery too many is harmless.
    """
    if stored is None:
        evicted = known_run_id == run_id and evicted_ms == now_ms
        changed_ms = 0 if known_run_id is None or evicted else now_ms
    else:
        read = _RUN.fullmatch(stored)
        # A change in the future was dated before Redis's clock was set back: date it now.
        changed_ms = min(int(read[2]), now_ms) if read and read[1].decode() == run_id else now_ms
    text = f"{run_id}|{changed_ms}"
    return RedisRun(run_id, changed_ms, now_ms, evicted_ms), None if stored == text.encode() else text


def read_evictions(
    stored: bytes | None, *, run_id: str, evicted_keys: int, policy: str, now_ms: int
) -> tuple[int, str | None]:
    """Return the time of the last seen eviction (Redis's clock, ms; 0: never), and the text to store.

    The text is None if unchanged. `evicted_keys` counts since Redis was started, or since `CONFIG RESETSTAT`.
    A stored value that is unreadable, or may itself have been evicted, counts as one if any key was evicted.
    """
    read = None if stored is None else _EVICTIONS.fullmatch(stored)
    if read is None:
        suspicious = stored is not None or policy.startswith("allkeys")
        evicted_ms = now_ms if evicted_keys and suspicious else 0
    else:
        known = int(read[2])
        if read[1].decode() != run_id or known > evicted_keys:
            known = 0
        # As with a change of the run: date one in the future now.
        evicted_ms = now_ms if evicted_keys > known else min(int(read[3]), now_ms)
    text = f"{run_id}|{evicted_keys}|{evicted_ms}"
    return evicted_ms, None if stored == text.encode() else text


def read_open_permits(stored: Mapping[bytes, bytes]) -> SymbolState | None:
    """Return version and open permits of a hash; None where it is empty or no plan id can be read."""
    permits = tuple(
        (PlanId(plan[1].decode()), read_text(value) or "")
        for field, value in stored.items()
        if (plan := _PERMIT_FIELD.fullmatch(field))
    )
    if not stored or len(permits) < len(stored) - (b"v" in stored):
        return None
    return SymbolState(permits_version=read_text(stored.get(b"v")), permits=permits)


def read_lease(lease: bytes, *, held: bool, replaced: bytes = b"", unbroken: bool = False) -> LeaseReply:
    """Parse a stored lease: `<token>@<process>:<instance>` or `<token>:<instance>`."""
    fence = FencingToken(lease.decode(errors="backslashreplace"))
    owner, _, holder = fence.partition(":")
    before = replaced.decode(errors="backslashreplace")
    return LeaseReply(held, fence, holder, owner.partition("@")[2], before, unbroken)


def utc_date(now_ms: int) -> str:
    """Return the UTC date (YYYY-MM-DD) of a time (epoch ms)."""
    return datetime.fromtimestamp(now_ms // 1000, UTC).date().isoformat()


def read_moment(stored: bytes | None) -> int | None:
    """Parse stored epoch ms; None when missing or no such number."""
    return int(stored) if stored is not None and _MOMENT.fullmatch(stored) else None


def read_ledger(reply: Any) -> StoredLedger:
    """Return the ledger's fields as text; a hash of a wrong type is a ledger whose amount is unreadable."""
    return StoredLedger(*map(read_text, reply)) if isinstance(reply, list) else StoredLedger(UNREADABLE)


def last_executions(
    cooldowns: Mapping[str, str | None], ledgers: Mapping[str, StoredLedger]
) -> tuple[LastExecution, ...]:
    """Return a record for each symbol of which a cooldown key or a ledger is stored."""
    executions = (
        LastExecution(symbol, cooldowns.get(symbol), ledgers.get(symbol, StoredLedger()))
        for symbol in dict.fromkeys((*cooldowns, *ledgers))
    )
    return tuple(each for each in executions if each != LastExecution(each.symbol, None))
