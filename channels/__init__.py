"""Typed, frozen messages between actors, and the channels that carry them.

Every channel is bounded and says what happens when it is full: it pushes back, conflates, or drops the
oldest and counts it. Channels are made once by the supervisor and outlive the actors on both ends.
"""

from channels.book import UNCOVERED_NOTICED_SEC, BookEntry, SnapshotBook, Uncovered
from channels.bridge import BridgeNow, IntentOutcome
from channels.channel import Channel
from channels.channels import Channels
from channels.conflating import Conflating
from channels.drop_oldest import DropOldest
from channels.governor import GovernorNow, SymbolCounts
from channels.intelligence import IntelligenceNow, ResultWindow
from channels.latest import LatestValue
from channels.messages import (
    RULES_AT_MOST_EVERY_SEC,
    BalanceChange,
    BalancesObserved,
    Count,
    FillObserved,
    Lease,
    LedgerWanted,
    LeverageObserved,
    MarkPrice,
    MarksChanged,
    MetricEvent,
    Observe,
    OnDemandRead,
    OpenExecution,
    OrderEndObserved,
    OrderObserved,
    OwnOrderObserved,
    PositionObserved,
    RulesWanted,
    SetGauge,
    ShardMessage,
    SnapshotChanged,
    StreamConnected,
    StreamLost,
    StreamProven,
    UnknownExecution,
    WaitingResult,
)
from channels.push_back import PushBack
from channels.reconcile import OpenCase, ReconcileNow
from channels.result_book import ResultBook
from channels.stream_status import StreamStatus
from channels.universe import ListingFailed, ListingRead, UniverseChannels, UniverseState, VolumesRead

__all__ = [
    "RULES_AT_MOST_EVERY_SEC",
    "UNCOVERED_NOTICED_SEC",
    "BalanceChange",
    "BalancesObserved",
    "BookEntry",
    "BridgeNow",
    "Channel",
    "Channels",
    "Conflating",
    "Count",
    "DropOldest",
    "FillObserved",
    "GovernorNow",
    "IntelligenceNow",
    "IntentOutcome",
    "LatestValue",
    "Lease",
    "LedgerWanted",
    "LeverageObserved",
    "ListingFailed",
    "ListingRead",
    "MarkPrice",
    "MarksChanged",
    "MetricEvent",
    "Observe",
    "OnDemandRead",
    "OpenCase",
    "OpenExecution",
    "OrderEndObserved",
    "OrderObserved",
    "OwnOrderObserved",
    "PositionObserved",
    "PushBack",
    "ReconcileNow",
    "ResultBook",
    "ResultWindow",
    "RulesWanted",
    "SetGauge",
    "ShardMessage",
    "SnapshotBook",
    "SnapshotChanged",
    "StreamConnected",
    "StreamLost",
    "StreamProven",
    "StreamStatus",
    "SymbolCounts",
    "Uncovered",
    "UniverseChannels",
    "UniverseState",
    "UnknownExecution",
    "VolumesRead",
    "WaitingResult",
]
