"""Roles on the page."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from brain.execution.switches import TradingState
from monitoring.status.bridge import BridgeShown
from monitoring.status.document import RolesShown
from monitoring.status.governor import GovernorShown
from monitoring.status.intelligence import IntelligenceShown
from monitoring.status.reconcile import ReconcileShown
from page.content import Role
from page.tone import Tone


def page_roles(shown: RolesShown | msgspec.UnsetType) -> Iterator[Role]:
    """Yield the roles that are switched on."""
    if isinstance(shown, msgspec.UnsetType):
        return
    universe = shown.universe
    if not isinstance(universe, msgspec.UnsetType):
        tone = Tone.ASIDE if universe.stale is None else Tone.WATCH if universe.stale else Tone.GOOD
        yield Role("universe", universe.mode, tone, universe.doing)
    executor = shown.executor
    if not isinstance(executor, msgspec.UnsetType):
        tone = Tone.ASIDE if executor.open_orders is None else Tone.GOOD
        if executor.waits_for is not None:
            tone = Tone.WATCH
        yield Role("executor", executor.mode, tone, executor.doing)
    governor = shown.governor
    if not isinstance(governor, msgspec.UnsetType):
        yield Role("governor", governor.mode, governor_tone(governor), governor.doing)
    reconcile = shown.reconcile
    if not isinstance(reconcile, msgspec.UnsetType):
        yield Role("reconcile", reconcile.mode, reconcile_tone(reconcile), reconcile.doing)
    intelligence = shown.p35
    if not isinstance(intelligence, msgspec.UnsetType):
        yield Role("p35", intelligence.mode, intelligence_tone(intelligence), intelligence.doing)
    bridge = shown.intent_bridge
    if not isinstance(bridge, msgspec.UnsetType):
        yield Role("intent_bridge", bridge.mode, bridge_tone(bridge), bridge.doing)


def governor_tone(governor: GovernorShown) -> Tone:
    """Return the tone of a Governor: WATCH where it stops opens and adds, BAD where it stops all orders."""
    if governor.waits_for is not None:
        return Tone.WATCH
    if governor.trading_state is None:
        return Tone.ASIDE
    if governor.trading_state == TradingState.HALTED or not governor.state_readable:
        return Tone.BAD
    if governor.trading_state == TradingState.REDUCING or governor.kill_switch:
        return Tone.WATCH
    return Tone.GOOD


def reconcile_tone(reconcile: ReconcileShown) -> Tone:
    """Return the tone of a reconcile engine: BAD where a person is needed, WATCH while a case is open."""
    if reconcile.waits_for is not None:
        return Tone.WATCH
    if reconcile.open_cases is None:
        return Tone.ASIDE
    if reconcile.manual:
        return Tone.BAD
    return Tone.WATCH if reconcile.open_cases else Tone.GOOD


def intelligence_tone(intelligence: IntelligenceShown) -> Tone:
    """Return the tone of decision intelligence: WATCH while another one counts."""
    if intelligence.waits_for is not None:
        return Tone.WATCH
    return Tone.ASIDE if intelligence.counted is None else Tone.GOOD


def bridge_tone(bridge: BridgeShown) -> Tone:
    """Return the tone of an intent bridge: WATCH while it waits, or makes no plan of entries."""
    if bridge.waits_for is not None or bridge.lockdown:
        return Tone.WATCH
    return Tone.ASIDE if bridge.outcomes is None else Tone.GOOD
