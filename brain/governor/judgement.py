"""The judgement of one plan by the Governor."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from brain.governor.kill_score import KillStats
from brain.plans.permit import Details, Kind


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """Grant or refusal with its reason, word for word as in docs/contract.md.

    `details` has the two numbers compared. `quantity` (contracts) and `notional` (USDT) are those of the
    order; `notional` is None while no mark price is known. `stats`: after the observation, None without one.
    `z` and `cutoff` are None where no verdict was possible. `qty_scale`, at most 1, is a hint.
    `exit_blocked_since_ms`: see `CountsView`; `exit_block_expired`: an exit above its cut-off was let go,
    after such blocks. `disarms`: the reason of an auto-disarm with the numbers compared, empty for none.
    `warnings` are for the log.
    """

    granted: bool
    reason: str
    kind: Kind
    eval_type: str
    details: Details
    quantity: Decimal
    notional: Decimal | None
    stats: KillStats | None
    z: float | None
    cutoff: float | None
    qty_scale: float
    exit_blocked_since_ms: int | None = None
    exit_block_expired: bool = False
    disarms: str = ""
    disarm_details: Details = {}
    warnings: tuple[str, ...] = ()
