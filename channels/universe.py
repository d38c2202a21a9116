"""Channels of the universe publisher; a service that does not publish has none of them."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import msgspec

from brain.identifiers import FencingToken
from brain.moment import Moment
from brain.symbols.universe import ListedContract
from channels.channel import Channel
from channels.latest import LatestValue


class ListingRead(msgspec.Struct, frozen=True):
    """Contracts of `exchangeInfo`, true at some moment after `asked`, and the names of unreadable ones."""

    contracts: tuple[ListedContract, ...]
    unreadable: frozenset[str]
    asked: Moment


class ListingFailed(msgspec.Struct, frozen=True):
    """Failure of a read of `exchangeInfo` that was asked for at `asked`."""

    error: str
    asked: Moment


class VolumesRead(msgspec.Struct, frozen=True):
    """24 h volume in the quote asset by symbol, true at some moment after `asked`."""

    by_symbol: Mapping[str, Decimal]
    asked: Moment


class UniverseState(msgspec.Struct, frozen=True, kw_only=True):
    """State of the universe as this process wrote it; `asof_epoch` by Redis's clock, 0 before any list.

    `fence`: the lease under which it was written.
    """

    count: int
    asof_epoch: int
    stale: bool
    error: str
    fence: FencingToken = FencingToken("")


class UniverseChannels:
    """Reads of the candidate planner for the publisher, and the state that the publisher shows."""

    def __init__(self) -> None:
        self.listing = LatestValue[ListingRead | ListingFailed]("listing")
        self.volumes = LatestValue[VolumesRead]("volumes")
        self.state = LatestValue[UniverseState]("universe")

    def all(self) -> list[Channel]:
        """Return every channel, in the order of declaration."""
        return list(vars(self).values())
