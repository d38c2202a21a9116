"""Children of the group `notices`: the notifier, which without an address only looks."""

from __future__ import annotations

from structlog.typing import FilteringBoundLogger

from actors.notifier.actor import Notifier
from actors.notifier.client import NoticeClient
from channels import Channels
from clocks.clocks import Clocks
from monitoring.monitor import Monitor
from settings import Settings
from supervision import ChildSpec
from wiring.groups import actor


def notice_children(
    settings: Settings, channels: Channels, monitor: Monitor, clocks: Clocks, log: FilteringBoundLogger
) -> list[ChildSpec]:
    """Return the notifier."""

    def notifier() -> Notifier:
        return Notifier(
            monitor.notices,
            NoticeClient(),
            instance=settings.instance,
            metrics=channels.metrics,
            clock=clocks,
            log=log,
        )

    return [actor("notifier", notifier)]
