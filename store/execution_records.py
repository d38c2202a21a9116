"""Records of the executor's store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import msgspec

from brain.execution.record import OrderRecord
from brain.identifiers import ClientOrderId, EntryId, PlanId, Symbol


class Switches(NamedTuple):
    """Raw values of the keys that stop orders; None for a missing one, `!` for one of a wrong type.

    `trading_state`: `governor:trading_state`. `kill`, `global_kill`, `mode`: the STRINGs `kill`,
    `global:kill_switch`, `system:mode`. `lockdown`: whether the key `lockdown` exists.
    """

    trading_state: bytes | None
    kill: bytes | None
    global_kill: bytes | None
    mode: bytes | None
    lockdown: bool


class PermitLook(NamedTuple):
    """One look at all that lets a plan wait, go on or end.

    `permits` are in the order in which their keys were asked for. `consumer` is the gate's mark, `block` the
    Governor's refusal. A value of a wrong type is the text `!`.
    """

    consumer: bytes | None
    permits: tuple[bytes | None, ...]
    block: bytes | None
    hold: bool
    switches: Switches


class OrderBegin(msgspec.Struct, frozen=True, kw_only=True):
    """A first record, and all that must still hold when it is written.

    `permits`: key, verified text and creation (epoch ms, None where it has none) of each permit; a permit
    older than `permit_max_age_ms`, or from the future by more than 5 s, is not consumed. `deadline_ms`
    (Redis's clock): the end of the wait for permits. A plan older than `plan_max_age_ms`, counted from
    `published_ms` (Redis's clock), has expired. `ignores_hold`: a RECONCILE_CLOSE.
    """

    record: OrderRecord
    permits: tuple[tuple[str, bytes, int | None], ...]
    permit_max_age_ms: int
    deadline_ms: int
    published_ms: int
    plan_max_age_ms: int
    ignores_hold: bool
    switches: Switches
    consumer: str
    audit: Sequence[str] = ()


class BeginReply(NamedTuple):
    """`begun`, or the reason why nothing was written.

    `exists` (a record of this plan or of its order, or the gate's mark), `expired`, `late`, `changed` (a
    permit), `too_old`, `from_the_future`, `hold`, `switched` (a switch).
    `value` is an age (ms) or the consumer. `permit`: place among the permits of the one that is too old, or
    from the future.
    """

    verdict: str
    value: str = ""
    permit: int = 0


class OrderProgress(msgspec.Struct, frozen=True, kw_only=True):
    """The next version of a record, with the result that tells of it.

    `result`: flat names and values for `apply.result`, empty for none. `cooldown_ms`: Redis's clock of
    the execution, None where nothing was executed. A final record leaves the set of open ones, and its plan's
    entry is acknowledged. From `working` or `final` on no hold of the order stands: it passes to `heir`,
    another order of the symbol that is undecided.
    """

    record: OrderRecord
    result: Sequence[str]
    cooldown_ms: int | None
    heir: OrderRecord | None = None
    audit: Sequence[str] = ()


class PlanRefusal(msgspec.Struct, frozen=True, kw_only=True):
    """A plan that ends without an order: its result, once.

    Its record has the fields below that are not empty, and no order. `symbol` is empty where it cannot be
    read. `dead_fields`, flat names and values, go to the stream's dead letters if not empty.
    """

    plan_id: PlanId
    stream: str
    entry_id: EntryId
    result: Sequence[str]
    error: str
    symbol: str = ""
    decision: str = ""
    action: str = ""
    source: str = ""
    instance: str = ""
    audit: Sequence[str] = ()
    dead_fields: Sequence[str] = ()


class UnreadableRecord(NamedTuple):
    """A record in the set of open ones that cannot be read, or is gone. An order may stand behind it."""

    plan_id: PlanId
    why: str
    symbol: Symbol | None = None


class OpenOrders(NamedTuple):
    """All records that have not ended, oldest first, and those that cannot be read."""

    records: list[OrderRecord]
    unreadable: list[UnreadableRecord]


#: What became of an orphan's record: it was written, there was one, or another holds the symbol.
OrphanReply = Literal["recorded", "known", "held"]


class ExecutionHold(msgspec.Struct, frozen=True, kw_only=True):
    """A hold of the executor on a symbol, named by `exec:<client order id>`, and the reservation it keeps.

    An empty `reason` holds nothing: the reservation of an order that is known and not final is kept alone.
    """

    symbol: Symbol
    plan_id: PlanId
    client_order_id: ClientOrderId
    reason: str
    ttl_ms: int
