"""The executor among the roles of `/status` and of the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import pytest
import structlog

import settings
from actors.one_player import player_text
from brain.identifiers import FencingToken
from channels import Lease, SetGauge
from clocks.clocks import Clocks
from monitoring.metrics.registry import MetricRegistry
from monitoring.page_view.roles import page_roles
from monitoring.status.document import RolesShown
from monitoring.status.roles import RolesSource
from page.tone import Tone
from tests.monitoring.status_rig import SetClock
from wiring.roles import channels_of


def shown(
    switch: str,
    gauges: Mapping[str, float] = {},
    *,
    held: bool = True,
    waits: Sequence[tuple[str, str]] = (),
) -> RolesShown | msgspec.UnsetType:
    """Return the roles of a service with this `P33_EXECUTOR`."""
    own, clocks = settings.load({"P33_EXECUTOR": switch}).settings, Clocks(SetClock())
    channels = channels_of(own)
    channels.lease.send(Lease(FencingToken("7") if held else None, "here"))
    registry = MetricRegistry(channels, clocks, structlog.get_logger())
    for name, value in gauges.items():
        registry.apply(SetGauge(name, value))
    return RolesSource(own, channels, clocks, registry).shown(waits)


async def test_an_executor_that_is_off_is_not_mentioned() -> None:
    assert shown("off") is msgspec.UNSET
    assert list(page_roles(msgspec.UNSET)) == []


@pytest.mark.parametrize(
    ("switch", "held", "gauges", "doing", "tone"),
    [
        ("on", False, {}, "waits for the lease", Tone.ASIDE),
        ("dry_run", True, {}, "publishes what it would send, and sends no order", Tone.ASIDE),
        ("on", True, {}, "sends orders, 0 of them not final", Tone.GOOD),
        ("on", True, {"exec_open_orders": 3}, "sends orders, 3 of them not final", Tone.GOOD),
        (
            "on", True, {"exec_open_orders": 3, "exec_unknown": 1},
            "sends orders, 3 of them not final, 1 undecided", Tone.GOOD,
        ),
    ],
)  # fmt: skip
async def test_an_executor_says_what_it_is_doing(
    switch: str, held: bool, gauges: dict[str, float], doing: str, tone: Tone
) -> None:
    roles = shown(switch, gauges, held=held)
    assert isinstance(roles, RolesShown)
    assert not isinstance(roles.executor, msgspec.UnsetType)
    assert (roles.executor.mode, roles.executor.doing) == (switch, doing)
    assert roles.universe is msgspec.UNSET
    (on_page,) = page_roles(roles)
    assert (on_page.name, on_page.mode, on_page.tone, on_page.doing) == ("executor", switch, tone, doing)


async def test_an_executor_that_waits_for_another_one_says_so_and_is_to_be_watched() -> None:
    another = player_text("executor", "quantum:stream:apply.plan", "theirs-1", 0.3)
    path = "position-state-brain/roles/executor"
    roles = shown("on", waits=[(path, "the exchange's orders"), (path, another)])
    assert isinstance(roles, RolesShown) and not isinstance(roles.executor, msgspec.UnsetType)
    assert roles.executor.doing == f"waits: {another}"
    assert (roles.executor.waits_for, roles.executor.open_orders) == (another, None)
    (on_page,) = page_roles(roles)
    assert on_page.tone is Tone.WATCH
    elsewhere = shown("on", waits=[("position-state-brain/roles/another", another)])
    assert isinstance(elsewhere, RolesShown) and not isinstance(elsewhere.executor, msgspec.UnsetType)
    assert elsewhere.executor.waits_for is None
