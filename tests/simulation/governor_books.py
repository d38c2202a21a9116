"""Grants, window, sums and statistics of the Governor, kept a second time beside Redis.

They follow from the permits and acknowledgements that Redis shows, and from the plans and results that were
published: nothing of the service's own is asked.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal

import msgspec

from tests.simulation.kill_book import Observed

ZERO = Decimal(0)
_NO_PERMIT = ("permit_", "missing_or_denied", "no_permit")
OPENS = ("open", "add")
ENDED = ("FILLED", "CANCELED", "EXPIRED", "EXPIRED_IN_MATCH", "REJECTED")


class GovernorGrant(msgspec.Struct):
    """A grant that counts. Times by Redis's clock (ms), notionals in USDT.

    `filled` is the notional that its final result says, None until then; `partly`, that of a result before,
    which is as good where no other word comes. `in_window`: Redis has not evicted that. `date`: the UTC day
    of its sums.
    """

    plan_id: str
    symbol: str
    kind: str
    notional: Decimal
    price: Decimal
    granted_ms: int
    ends_ms: int
    date: str
    filled: Decimal | None = None
    settled_ms: int = 0
    partly: Decimal = ZERO
    in_window: bool = True

    @property
    def opens(self) -> bool:
        """Return True if limits count it."""
        return self.kind in OPENS

    @property
    def counted(self) -> Decimal:
        """Its part in the sums of its day."""
        return self.notional if self.filled is None else self.filled

    def counts_at(self, now_ms: int) -> bool:
        """Return whether it is settled with a fill, or has not expired."""
        return self.filled is not None or self.ends_ms > now_ms


class GovernorKept(msgspec.Struct):
    """What follows from Redis's content, and is rolled back with it.

    `judged`: each plan with its verdict. `observed`: by symbol and evaluation type. `blocked_since_ms`: by
    symbol, the first block of an exit by its score with no other verdict since. `sums`: opened and reduced
    notional by symbol and day. `disarmed`: the UTC days that have had their auto-disarm. `unmarked`: plans
    whose marks Redis has lost.
    """

    grants: dict[str, GovernorGrant] = {}
    judged: dict[str, bool] = {}
    observed: dict[tuple[str, str], Observed] = {}
    blocked_since_ms: dict[str, int] = {}
    disarmed: set[str] = set()
    unmarked: set[str] = set()

    def opened(self, symbol: str, now_ms: int, within_sec: float) -> list[GovernorGrant]:
        """Return the opens and adds of a symbol that were granted so recently."""
        since_ms = now_ms - within_sec * 1000
        return [
            grant
            for grant in self.grants.values()
            if grant.symbol == symbol and grant.opens and grant.in_window and grant.granted_ms > since_ms
        ]

    def sum_of(self, symbol: str, date: str, *, opens: bool) -> Decimal:
        """Return the notional of a symbol's day."""
        grants = self.grants.values()
        of_day = (each for each in grants if each.symbol == symbol and each.date == date)
        return sum((each.counted for each in of_day if each.opens is opens), ZERO)


class Said(msgspec.Struct, frozen=True):
    """What a result says of its plan: whether that is its last word, what was filled, at which price.

    `had_permit` is False where its executor never had the permit, so that another one may have it.
    """

    plan_id: str
    final: bool
    quantity: Decimal = ZERO
    price: Decimal | None = None
    had_permit: bool = True


def said_by(fields: Mapping[bytes, bytes], unknown: tuple[str, ...]) -> Said:
    """Read a result of one of the three dialects. `unknown`: errors after which an order may be filled."""
    text = {name.decode(): value.decode() for name, value in fields.items()}
    details = _object(text.get("details", ""))
    steps = _object(text.get("steps_results", ""))
    found = {**(steps[0] if isinstance(steps, list) and steps else {})}
    found |= {**details} if isinstance(details, dict) else {}
    found |= text
    plan_id = text.get("plan_id", "")
    if text.get("executed", "").lower() != "true":
        error = str(found.get("error") or found.get("reason") or "")
        return Said(plan_id, final=error not in unknown, had_permit=not error.startswith(_NO_PERMIT))
    status = str(found.get("order_status") or found.get("status") or "FILLED")
    quantity = Decimal(str(found.get("filled_qty") or found.get("executed_qty") or 0))
    price = _positive(found.get("avg_price"))
    return Said(plan_id, status in ENDED, quantity, price)


def _object(text: str) -> object:
    try:
        return json.loads(text) if text else {}
    except ValueError:
        return {}


def _positive(value: object) -> Decimal | None:
    price = Decimal(str(value)) if value else ZERO
    return price if price > ZERO else None
