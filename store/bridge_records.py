"""Records of the intent bridge's store."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from brain.identifiers import EntryId, Symbol

#: Stands for a value of a wrong type.
WRONG_TYPE = b"!"


class BridgeState(NamedTuple):
    """State that answers rest on, as stored; a value of a wrong type is the text `!`.

    `mode`: `system:mode`. `last_closes`: by symbol, None for none. Where they were asked for, `equity` has
    `equity` and `ts` of `governor:equity`, `portfolio` has `equity_usd` and `timestamp` of `state:portfolio`.
    """

    mode: bytes | None
    last_closes: Mapping[Symbol, bytes | None]
    equity: tuple[bytes | None, bytes | None] = (None, None)
    portfolio: tuple[bytes | None, bytes | None] = (None, None)


class BridgeBasis(NamedTuple):
    """Texts that must still stand in Redis when an answer is written: `system:mode`, and the last close."""

    mode: bytes | None
    last_close: bytes | None


class IntentCommit(msgspec.Struct, frozen=True, kw_only=True):
    """Answer to one intent with all that it writes.

    `mark`: that of the entry; where it exists, the intent was answered. `plan_mark`: that of the plan of a
    close, empty for any other; where it exists, there is a plan of this id.
    `basis` is None where the answer rests on no state. `deadline_ms` (Redis's clock): the last moment for a
    plan, 0 for a refusal. `plan`, `audit` and `dead_fields` are flat names and values, empty for none.
    `closed_ms`: time of a plan that reduces a position, 0 for none; it lives for `close_ttl_ms`.
    """

    entry_id: EntryId
    symbol: Symbol | None
    mark: str
    plan_mark: str
    mark_ttl_ms: int
    basis: BridgeBasis | None
    deadline_ms: int
    plan: tuple[str, ...]
    audit: tuple[str, ...]
    closed_ms: int = 0
    close_ttl_ms: int = 0
    dead_fields: tuple[str, ...] = ()


class BridgeReply(NamedTuple):
    """Redis's clock at the write, and a verdict for each answer up to the first that was not written.

    `committed`; `seen`: its entry was answered before, and is acknowledged; `duplicate`: there is a plan of
    it; `changed`: its basis is another; `late`: its deadline has passed.
    """

    now_ms: int
    verdicts: tuple[str, ...]
