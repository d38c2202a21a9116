"""Unknown outcomes as stored: open permits whose order may have been filled.

They lie in a hash of their own beside the open permits, which older builds ignore. An entry counts only
while the open permit of its plan lives.
"""

from __future__ import annotations

import re

import msgspec

from brain.identifiers import ClientOrderId, OrderId, PlanId, Symbol
from brain.ledger.result import UnknownOrder

_STORED = re.compile(r"([0-9]{1,15})\|([0-9]{1,15})\|([^|]{0,36})\|([0-9]{0,64})\|(.{1,32})", re.DOTALL)


class UnknownOutcome(msgspec.Struct, frozen=True):
    """A plan whose executor does not know the order's outcome. Times are Redis's clock (epoch ms).

    `since_ms`: publication of the result. `expires_ms`: end of the open permit at the latest. `order`: the
    ids that the result named.
    """

    plan_id: PlanId
    symbol: Symbol
    since_ms: int
    expires_ms: int
    order: UnknownOrder = UnknownOrder()


def encode_unknown(outcome: UnknownOutcome) -> str:
    """Encode as stored under the plan id: `expires_ms|since_ms|client order id|order id|symbol`."""
    order = outcome.order
    ids = f"{order.client_order_id or ''}|{order.order_id or ''}"
    return f"{outcome.expires_ms}|{outcome.since_ms}|{ids}|{outcome.symbol}"


def decode_unknown(plan_id: PlanId, text: str) -> UnknownOutcome | None:
    """Decode the state; None for any other text, which leaves the open permit as it is."""
    found = _STORED.fullmatch(text)
    if found is None:
        return None
    expires, since, client_order_id, order_id, symbol = found.groups()
    order = UnknownOrder(OrderId(order_id) or None, ClientOrderId(client_order_id) or None)
    return UnknownOutcome(plan_id, Symbol(symbol), int(since), int(expires), order)
