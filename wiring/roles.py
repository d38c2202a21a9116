"""Children of the group `roles`: the other players of the chain that this service is."""

from __future__ import annotations

from typing import Protocol

from structlog.typing import FilteringBoundLogger

from actors.universe_publisher.actor import UniversePublisher
from actors.universe_publisher.publications import PublisherRules
from channels import Channels
from clocks.clocks import Clocks
from settings import Settings
from store.protocol import UniversePublisherStore
from supervision import ChildSpec
from wiring.groups import actor
from wiring.rules import planner_rules, universe_rules


class RoleStore(UniversePublisherStore, Protocol):
    """Stores of all roles."""


def role_children(
    settings: Settings, channels: Channels, store: RoleStore, clocks: Clocks, log: FilteringBoundLogger
) -> list[ChildSpec]:
    """Return the roles that are switched on, none where all are off."""
    children: list[ChildSpec] = []
    mode, universe = settings.universe, channels.universe_channels
    if mode != "off" and universe is not None:
        rules = PublisherRules(
            mode=mode,
            refresh_sec=settings.universe_refresh_sec,
            listing_sec=planner_rules(settings).rules_refresh_sec,
            volume_sec=settings.universe_volume_sec,
            active_ttl_sec=settings.universe_active_ttl_sec,
            instance=settings.instance,
            universe=universe_rules(settings),
        )
        children.append(
            actor(
                "universe_publisher",
                lambda: UniversePublisher(
                    store,
                    universe,
                    channels.lease,
                    rules=rules,
                    metrics=channels.metrics,
                    clocks=clocks,
                    log=log,
                ),
            )
        )
    return children
