"""The messages. All frozen; times of this host are `Moment`s, times of the exchange are epoch ms."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import trio

from brain.execution.orders import OrderState
from brain.identifiers import ClientOrderId, EntryId, FencingToken, PlanId, Symbol
from brain.ledger.order_events import FillObserved as FillObserved
from brain.ledger.order_events import OrderEndObserved as OrderEndObserved
from brain.moment import Moment
from brain.positions.position import LegPosition, Snapshot


class PositionObserved(msgspec.Struct, frozen=True, gc=False):
    """A leg's new position, pushed by the private stream (one entry of `ACCOUNT_UPDATE`'s `P`).

    `out_of_order` is one of another amount and an earlier date that arrived behind it, before either was
    taken in: the dates contradict the order of arrival.
    """

    symbol: str
    position: LegPosition
    received: Moment
    out_of_order: PositionObserved | None = None


class BalanceChange(msgspec.Struct, frozen=True):
    """An asset's wallet balance by now (`wb`), and its change but for profit and commission (`bc`)."""

    asset: str
    wallet: Decimal
    change: Decimal


class BalancesObserved(msgspec.Struct, frozen=True):
    """Wallet balances, on the private stream (`ACCOUNT_UPDATE`'s `B`); `reason` is the event's `m`."""

    reason: str
    changes: tuple[BalanceChange, ...]
    received: Moment


class UnknownExecution(msgspec.Struct, frozen=True):
    """A plan whose order may have been filled: its executor does not know.

    `since_ms` is Redis's clock; `ends_at_sec`, this host's monotonic clock, is when its open permit ends at
    the latest.
    """

    plan_id: PlanId
    symbol: Symbol
    since_ms: int
    ends_at_sec: float


class OpenExecution(msgspec.Struct, frozen=True):
    """A plan of our own executor of which it is not known whether it has an order.

    `age_sec` counts from the request. `held`: its symbol is held for it. `lacking`: the evidence that is
    missing for a proof that there is no order; empty before the first query behind the settle time.
    """

    plan_id: PlanId
    symbol: Symbol
    client_order_id: ClientOrderId
    age_sec: float
    held: bool
    lacking: tuple[str, ...]


class WaitingResult(msgspec.Struct, frozen=True):
    """A result that stays pending, because of `why`, until an operator has set what it needs."""

    entry_id: EntryId
    symbol: Symbol
    plan_id: PlanId
    why: str


class LeverageObserved(msgspec.Struct, frozen=True):
    """A symbol's new leverage, on the private stream (`ACCOUNT_CONFIG_UPDATE`)."""

    symbol: str
    leverage: Decimal
    received: Moment


class StreamConnected(msgspec.Struct, frozen=True):
    """A private stream connection stands since `since`; no event after that is missed while it lives.

    `epoch` grows by one with each period of unbroken connection.
    """

    epoch: int
    since: Moment


class StreamProven(msgspec.Struct, frozen=True):
    """A ping of connection period `epoch` was answered: all pushes until `as_of` have arrived."""

    epoch: int
    as_of: Moment


class StreamLost(msgspec.Struct, frozen=True):
    """From `at` on, silence means nothing: only a REST read sent after it makes a snapshot fresh."""

    epoch: int
    at: Moment
    why: str


class MarkPrice(msgspec.Struct, frozen=True, gc=False):
    """A symbol's mark price, and its time on this host's wall clock (epoch ms)."""

    price: Decimal
    ts_ms: int


class MarksChanged(msgspec.Struct, frozen=True):
    """The book has newer mark prices, from the market stream."""


class OwnOrderObserved(msgspec.Struct, frozen=True):
    """An order of the executor, on the private stream (`ORDER_TRADE_UPDATE` with its client order id)."""

    order: OrderState
    received: Moment


#: Order events of the private stream, for the ledger writer.
OrderObserved = FillObserved | OrderEndObserved

#: Messages of the streams to a snapshot fetcher, in the order of their arrival.
ShardMessage = (
    PositionObserved
    | FillObserved
    | LeverageObserved
    | StreamConnected
    | StreamProven
    | StreamLost
    | MarksChanged
)


class OnDemandRead(msgspec.Struct, frozen=True):
    """A decision waits for one symbol's position, until `deadline_sec` (trio's clock).

    The fetcher sends None through `reply` once the book holds what it read, or an error's text. A read that
    was sent before `sent_after` does not serve it.
    """

    symbol: Symbol
    plan_id: PlanId
    deadline_sec: float
    reply: trio.MemorySendChannel[str | None]
    sent_after: Moment | None = None


class LedgerWanted(msgspec.Struct, frozen=True):
    """A decision has found that `symbol` has no ledger, and waits for one to be adopted.

    The ledger writer sends through `reply` whether there is one now.
    """

    symbol: str
    reply: trio.MemorySendChannel[bool]


#: exchangeInfo is read no more often than this, however many plans name unknown symbols (seconds).
RULES_AT_MOST_EVERY_SEC = 5.0


class RulesWanted(msgspec.Struct, frozen=True):
    """exchangeInfo should be read before its next turn: a plan or a result does not fit what is known of it.

    `why` is for people to read.
    """

    why: str


class Lease(msgspec.Struct, frozen=True):
    """The holder of the lease. `fence` goes with every write while the lease is ours, and is None otherwise.

    `namesake`: the process that holds the lease under this instance's own name, None where none does.
    `since`: the first of our fences since which no other process has held it, None where that is `fence`.
    """

    fence: FencingToken | None
    holder: str
    namesake: str | None = None
    since: FencingToken | None = None


class SnapshotChanged(msgspec.Struct, frozen=True, gc=False):
    """A symbol's position, as now known, is another than before (or known for the first time)."""

    snapshot: Snapshot


class Count(msgspec.Struct, frozen=True, gc=False):
    """Add `amount` to the counter `name` at `labels`, in the order in which the metric declares them."""

    name: str
    labels: tuple[str, ...] = ()
    amount: float = 1


class SetGauge(msgspec.Struct, frozen=True, gc=False):
    """Set the gauge `name` at `labels` to `value`."""

    name: str
    value: float
    labels: tuple[str, ...] = ()


class Observe(msgspec.Struct, frozen=True, gc=False):
    """Add an observation, in seconds, to the histogram `name`, `times` times."""

    name: str
    seconds: float
    times: int = 1


MetricEvent = Count | SetGauge | Observe
