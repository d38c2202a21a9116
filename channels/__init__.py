"""What flows between actors: typed, frozen messages, and the channels that carry them.

Every channel is bounded and says what happens when it is full: it pushes back, conflates, or drops the
oldest and counts it. Channels are made once by the supervisor and outlive the actors on both ends.
"""

from channels.book import BookEntry, SnapshotBook
from channels.channel import Channel
from channels.conflating import Conflating
from channels.drop_oldest import DropOldest
from channels.flows import Flows
from channels.latest import LatestValue
from channels.messages import (
    RULES_AT_MOST_EVERY_SEC,
    Count,
    FillObserved,
    Lease,
    LedgerWanted,
    LeverageObserved,
    MarkPrice,
    MarkPrices,
    MetricEvent,
    Observe,
    OnDemandRead,
    OrderEndObserved,
    OrderObserved,
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
from channels.result_book import ResultBook
from channels.stream_status import StreamStatus

__all__ = [
    "RULES_AT_MOST_EVERY_SEC",
    "BookEntry",
    "Channel",
    "Conflating",
    "Count",
    "DropOldest",
    "FillObserved",
    "Flows",
    "LatestValue",
    "Lease",
    "LedgerWanted",
    "LeverageObserved",
    "MarkPrice",
    "MarkPrices",
    "MetricEvent",
    "Observe",
    "OnDemandRead",
    "OrderEndObserved",
    "OrderObserved",
    "PositionObserved",
    "PushBack",
    "ResultBook",
    "RulesWanted",
    "SetGauge",
    "ShardMessage",
    "SnapshotBook",
    "SnapshotChanged",
    "StreamConnected",
    "StreamLost",
    "StreamProven",
    "StreamStatus",
    "UnknownExecution",
    "WaitingResult",
]
