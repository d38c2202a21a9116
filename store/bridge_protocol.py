"""Protocol of the intent bridge's store. See `store.protocol` for what all methods share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from brain.identifiers import FencingToken, Symbol
from brain.intents.intent import Lane
from clocks.clocks import ShowsRedisTime
from store.bridge_records import BridgeReply, BridgeState, IntentCommit
from store.protocol import AddressedStore, ConsumerGroup


class BridgeStore(AddressedStore, ShowsRedisTime, Protocol):
    """Store of the intent bridge, for all of its life in the shadow or not.

    In the shadow its groups, marks and audit have names of their own, and no plan is published, whatever is
    asked for.
    """

    @property
    def trade_intents(self) -> ConsumerGroup:
        """The group `<prefix>:group:intent_bridge` of `trade.intent`.

        A new one begins now, one that was lost behind the last intent that was dealt with.
        """

    @property
    def exit_intents(self) -> ConsumerGroup:
        """The group `exit-intent-gateway` of `exit.intent`. It begins as that of `trade_intents`."""

    @property
    def harvest_intents(self) -> ConsumerGroup:
        """The group `intent_executor_harvest` of `harvest.intent`. It begins as that of `trade_intents`."""

    async def bridge_state(self, symbols: Sequence[Symbol], *, with_equity: bool) -> BridgeState:
        """Read the state that answers to intents of `symbols` rest on, in one round trip."""

    async def answer_intents(
        self, fence: FencingToken, lane: Lane, answers: Sequence[IntentCommit]
    ) -> BridgeReply:
        """Write answers in order, each whole or not at all; stop at the first that is not written.

        In this order: type and rights checks, marks of entry and plan, comparison with the basis, mark, last
        close, audit, dead letter, acknowledgement, plan.
        """
