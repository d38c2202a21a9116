"""Makes the intent bridge with its parts."""

from __future__ import annotations

from structlog.typing import FilteringBoundLogger

from actors.intent_bridge.actor import IntentBridge
from actors.intent_bridge.cases import CaseMaking
from actors.intent_bridge.lane import IntentLane
from actors.intent_bridge.proposals import IntentAnswers
from actors.intent_bridge.reports import BridgeReports
from actors.intent_bridge.rules import BridgeActorRules
from actors.one_player import OnePlayer
from actors.stream_consumer import FailureCounter
from brain.intents.intent import Lane
from channels import Channels
from clocks.clocks import Clocks
from monitoring.service_log import build_tag
from store.bridge_protocol import BridgeStore
from store.protocol import ConsumerGroup

#: Of its child spec: a write of Redis that is under way.
BRIDGE_GRACE_SEC = 1.5


class BridgeMaking:
    """Makes intent bridges, every incarnation anew. Failures and counts outlive an incarnation."""

    def __init__(
        self,
        channels: Channels,
        store: BridgeStore,
        *,
        clocks: Clocks,
        rules: BridgeActorRules,
        log: FilteringBoundLogger,
    ) -> None:
        """`channels` are those of a service with an intent bridge. Raises ValueError for others."""
        if channels.bridge is None:
            raise ValueError("the channel of the intent bridge was not made")
        self._channels = channels
        self._store = store
        self._clocks = clocks
        self._rules = rules
        self._log = log
        self._failures = {lane: FailureCounter() for lane in rules.lanes}
        self._reports = BridgeReports(channels.metrics, channels.bridge, rules, log)

    def bridge(self) -> IntentBridge:
        """Return a new intent bridge."""
        channels, rules = self._channels, self._rules
        cases = CaseMaking(
            channels.book,
            channels.results,
            channels.symbol_rules,
            channels.allowlist,
            channels.hedge_mode,
            rules,
        )
        lanes = [self._lane(lane, cases) for lane in rules.lanes]
        return IntentBridge(lanes, self._reports, tag=build_tag())

    def _lane(self, lane: Lane, cases: CaseMaking) -> IntentLane:
        channels, rules = self._channels, self._rules
        group = self._group(lane)
        return IntentLane(
            lane,
            group,
            self._store,
            channels.lease,
            self._failures[lane],
            IntentAnswers(lane, cases, rules),
            cases,
            channels.symbol_rules,
            channels.allowlist,
            self._reports,
            with_equity=rules.rules.max_exposure_pct is not None,
            clocks=self._clocks,
            one_player=self._one_player(group),
            log=self._log,
        )

    def _group(self, lane: Lane) -> ConsumerGroup:
        store = self._store
        groups = {
            Lane.TRADE: store.trade_intents,
            Lane.EXIT: store.exit_intents,
            Lane.HARVEST: store.harvest_intents,
        }
        return groups[lane]

    def _one_player(self, group: ConsumerGroup) -> OnePlayer | None:
        """Return the wait for another player; a shadow works beside one, in a group of its own."""
        if self._rules.shadow:
            return None
        return OnePlayer(group, "Intent Bridge", take_over=self._rules.take_over, log=self._log)
