"""All channels of one service, each with its overflow rule."""

from __future__ import annotations

import zlib
from collections.abc import Mapping

import msgspec

from brain.durability import Durability
from brain.identifiers import Symbol
from brain.moment import Moment
from brain.symbols.allowlist import Allowlist
from brain.symbols.candidates import Candidates
from brain.symbols.symbol_rules import SymbolRules
from channels.book import SnapshotBook
from channels.bridge import BridgeNow
from channels.channel import Channel
from channels.conflating import Conflating
from channels.drop_oldest import DropOldest
from channels.governor import GovernorNow
from channels.intelligence import IntelligenceNow
from channels.latest import LatestValue
from channels.messages import (
    BalancesObserved,
    FillObserved,
    Lease,
    LedgerWanted,
    LeverageObserved,
    MetricEvent,
    OnDemandRead,
    OpenExecution,
    OrderObserved,
    OwnOrderObserved,
    PositionObserved,
    RulesWanted,
    ShardMessage,
    SnapshotChanged,
    UnknownExecution,
    WaitingResult,
)
from channels.push_back import PushBack
from channels.reconcile import ReconcileNow
from channels.result_book import ResultBook
from channels.stream_status import StreamStatus
from channels.universe import UniverseChannels


class Channels:
    """All channels of one service. They are made once and outlive the actors on both ends.

    `PushBack` makes its sender wait, `Conflating` and `LatestValue` keep the newest, `DropOldest` drops the
    oldest and counts it. A channel that is added here is in `/metrics`, `/status` and on the page.
    """

    def __init__(
        self,
        shards: int,
        *,
        universe: bool = False,
        executor: bool = False,
        governor: bool = False,
        reconcile: bool = False,
        bridge: bool = False,
        intelligence: bool = False,
    ) -> None:
        """`universe` and so on: make the channels of that role; without it they are None."""
        self.book = SnapshotBook("snapshot_book")
        self.shards = [
            Conflating[ShardMessage](f"shard_{n}", shard_key, newer_shard_message) for n in range(shards)
        ]
        self.on_demand = [PushBack[OnDemandRead](f"on_demand_{n}", 64) for n in range(shards)]
        self.ledgers_wanted = PushBack[LedgerWanted]("ledgers_wanted", 64)
        self.changes = Conflating[SnapshotChanged]("changes", lambda change: change.snapshot.symbol)
        self.fills = DropOldest[OrderObserved]("fills", 10_000)
        self.own_orders = own_order_channel() if executor else None
        #: Plans of our own executor of which it is not known whether they have an order.
        self.open_executions = LatestValue[tuple[OpenExecution, ...]]("open_executions") if executor else None
        self.governor = LatestValue[GovernorNow]("governor") if governor else None
        self.reconcile = LatestValue[ReconcileNow]("reconcile") if reconcile else None
        self.bridge = LatestValue[BridgeNow]("intent_bridge") if bridge else None
        self.intelligence = LatestValue[IntelligenceNow]("intelligence") if intelligence else None
        #: Symbols whose ledger has another amount than before: a hint to compare them now.
        self.moved_ledgers = Conflating[Symbol]("moved_ledgers", lambda symbol: symbol) if reconcile else None
        self.balances = DropOldest[BalancesObserved]("balances", 10_000) if governor else None
        self.results = ResultBook("results")
        self.metrics = DropOldest[MetricEvent]("metrics", 50_000)
        self.symbol_rules = LatestValue[Mapping[str, SymbolRules]]("symbol_rules")
        #: One key for all: a second request adds nothing to one that waits.
        self.rules_wanted = Conflating[RulesWanted]("rules_wanted", lambda _: None)
        #: When exchangeInfo was last asked for, with or without an answer.
        self.rules_asked_at = LatestValue[Moment]("rules_asked_at")
        #: Symbols that exchangeInfo lists in a form that cannot be read, and why.
        self.unreadable_rules = LatestValue[Mapping[str, str]]("unreadable_rules")
        self.hedge_mode = LatestValue[bool]("hedge_mode")
        self.allowlist = LatestValue[Allowlist]("allowlist")
        self.candidates = LatestValue[Candidates]("candidates")
        #: Symbols that trade and whose position was not read yet, where they are read one by one.
        self.never_read = LatestValue[tuple[str, ...]]("never_read")
        self.ledgers_adopted = LatestValue[bool]("ledgers_adopted")
        self.lease = LatestValue[Lease]("lease")
        self.stream_status = LatestValue[StreamStatus]("stream_status")
        self.bans = LatestValue[int]("bans")
        self.ban_recalled = LatestValue[bool]("ban_recalled")
        self.http_address = LatestValue[str]("http_address")
        #: The plans whose order may have been filled; None until they were read.
        self.unknown_executions = LatestValue[tuple[UnknownExecution, ...]]("unknown_executions")
        self.waiting_results = LatestValue[tuple[WaitingResult, ...]]("waiting_results")
        self.durability = LatestValue[Durability]("durability")
        self.universe_channels = UniverseChannels() if universe else None

    def all(self) -> list[Channel]:
        """Return every channel, in the order of declaration."""
        channels: list[Channel] = []
        for name, each in vars(self).items():
            if name != "universe_channels" and each is not None:
                channels.extend(each if isinstance(each, list) else [each])
        return channels if self.universe_channels is None else channels + self.universe_channels.all()

    def shard_of(self, symbol: str) -> int:
        """Return the shard that owns `symbol`: a stable hash, the same in every process."""
        return zlib.crc32(symbol.encode()) % len(self.shards)

    def on_demand_of(self, symbol: str) -> PushBack[OnDemandRead]:
        """Return the channel of on-demand reads of the shard that owns `symbol`."""
        return self.on_demand[self.shard_of(symbol)]


def shard_key(message: ShardMessage) -> object:
    """Return the key of a message: it replaces a waiting one with the same key."""
    match message:
        case PositionObserved():
            return PositionObserved, message.symbol, message.position.leg
        case FillObserved():
            return FillObserved, message.symbol, message.leg
        case LeverageObserved():
            return LeverageObserved, message.symbol
    return type(message)


def own_order_channel() -> Conflating[OwnOrderObserved]:
    """Return the channel of the executor's orders: their ids never come again, hence a bound."""
    return Conflating(
        "own_orders", lambda observed: observed.order.client_order_id, further_own_order, capacity=10_000
    )


def further_own_order(waiting: OwnOrderObserved, arriving: OwnOrderObserved) -> OwnOrderObserved:
    """Return the later state of an order: a final one, else the one with more filled, else the arriving one.

    Two connections overlap once a day and may show one order's states in different order.
    """
    before, after = waiting.order, arriving.order
    if (before.status.is_final, before.cumulative) > (after.status.is_final, after.cumulative):
        return waiting
    return arriving


def newer_shard_message(waiting: ShardMessage, arriving: ShardMessage) -> ShardMessage:
    """Return what waits after a message of the same key arrived.

    Positions are ordered by the exchange's time, the rest by arrival. A position that arrives later and is
    dated earlier, with another amount, is kept beside the other one.
    """
    if isinstance(waiting, PositionObserved) and isinstance(arriving, PositionObserved):
        before, after = waiting.position, arriving.position
        if after.update_time_ms >= before.update_time_ms:
            return msgspec.structs.replace(arriving, out_of_order=waiting.out_of_order)
        if after.amount == before.amount:
            return waiting
        return msgspec.structs.replace(waiting, out_of_order=arriving)
    return arriving
