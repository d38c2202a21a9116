"""Open permits whose order may have been filled: how that state is stored, and what ends it.

It lies in a hash of its own beside the open permits, which older builds pass over. It means something only
while the open permit of its plan lives.
"""

from __future__ import annotations

import hashlib
import re

import msgspec

from brain.ledger.result import UnknownOrder

_STORED = re.compile(r"([0-9]{1,15})\|([0-9]{1,15})\|([^|]{0,36})\|([0-9]{0,64})\|(.{1,32})", re.DOTALL)


class UnknownOutcome(msgspec.Struct, frozen=True):
    """A plan whose executor does not know what became of the order. Times are Redis's clock (epoch ms).

    `since_ms`: when that was published. `expires_ms`: when the open permit ends, whatever comes. `order`
    has the ids that the result named.
    """

    plan_id: str
    symbol: str
    since_ms: int
    expires_ms: int
    order: UnknownOrder = UnknownOrder()


def client_order_id_of(prefix: str, plan_id: str) -> str:
    """The client order id of a plan's one order, as the chain's executor makes it (docs/integration.md)."""
    digest = hashlib.sha256(f"{prefix}\0{plan_id}".encode()).hexdigest()
    return f"p33-{digest[:32]}"


def encode_unknown(outcome: UnknownOutcome) -> str:
    """The state as stored under its plan id: `expires_ms|since_ms|client order id|order id|symbol`."""
    order = outcome.order
    return "|".join(
        (
            str(outcome.expires_ms),
            str(outcome.since_ms),
            order.client_order_id or "",
            order.order_id or "",
            outcome.symbol,
        )
    )


def decode_unknown(plan_id: str, text: str) -> UnknownOutcome | None:
    """The state that `text` encodes; None for anything else: its open permit lives on all the same."""
    found = _STORED.fullmatch(text)
    if found is None:
        return None
    expires, since, client_order_id, order_id, symbol = found.groups()
    order = UnknownOrder(order_id or None, client_order_id or None)
    return UnknownOutcome(plan_id, symbol, int(since), int(expires), order)
