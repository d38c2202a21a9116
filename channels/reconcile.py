"""Open cases of the reconcile engine, for those who show them."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from brain.identifiers import Symbol
from brain.reconciliation.drift import Drift
from brain.reconciliation.evidence import Growth


class OpenCase(msgspec.Struct, frozen=True, kw_only=True):
    """A drift that is not settled.

    `status` and `cause` as in `reconcile:state`. `since_ms`: first seen (epoch ms, Redis's clock).
    `held`: an own hold stands; `held_by`: the owner of another's, None for none, empty for one without an
    owner. `found`: the trades that the ledger lacks, by order. `why`: why it is not repaired, in words.
    `advice`: what a person can do. `looks`: looks at the evidence so far; `next_look_sec`: seconds until the
    next one, None for none.
    """

    symbol: Symbol
    status: str
    cause: str
    drift: Drift
    since_ms: int
    held: bool
    held_by: str | None
    found: tuple[Growth, ...]
    why: str
    advice: str
    looks: int
    next_look_sec: float | None


class ReconcileNow(msgspec.Struct, frozen=True, kw_only=True):
    """The reconcile engine as it is: open cases, oldest first, and weight used within the last minute.

    `repaired`: symbols repaired since the start, with the epoch ms and the signed sum of the latest repair.
    """

    cases: tuple[OpenCase, ...]
    weight_1m: int
    weight_per_min: int
    compared: int
    repaired: tuple[tuple[Symbol, int, Decimal], ...] = ()
