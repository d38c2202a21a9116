"""Decision intelligence in `/status`, among the roles of the page, in its headline and section."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import structlog

import settings
from actors.one_player import player_text
from brain.identifiers import FencingToken
from channels import IntelligenceNow, Lease, ResultWindow
from clocks.clocks import Clocks
from monitoring.metrics.registry import MetricRegistry
from monitoring.page_view.intelligence import page_intelligence
from monitoring.page_view.roles import page_roles
from monitoring.status.document import RolesShown
from monitoring.status.intelligence import IntelligenceShown, intelligence_problems
from monitoring.status.roles import RolesSource
from page.result_windows import Stop
from page.tone import Tone
from tests.monitoring.status_rig import NOON_MS, SetClock
from wiring.roles import channels_of

PATH = "position-state-brain/roles/decision_intelligence"
NOW = IntelligenceNow(
    windows=(
        ResultWindow("1m", {"EXECUTE": 0, "BLOCKED": 0, "SKIP": 0, "ERROR": 0, "UNKNOWN": 0}, (), ()),
        ResultWindow(
            "5m",
            {"EXECUTE": 3, "BLOCKED": 1, "SKIP": 1, "ERROR": 0, "UNKNOWN": 0},
            (("p33_permit_denied:no_position", 1),),
            (("p33:p33_permit_denied:no_position", 1), ("plan:none", 1)),
        ),
    ),
    unknown=(("HOLD", 2),),
    as_of_ms=NOON_MS - 2_500,
    counted=17,
    pending=0,
)


def shown(
    now: IntelligenceNow | None = NOW, *, held: bool = True, waits: Sequence[tuple[str, str]] = ()
) -> RolesShown:
    own, clocks = settings.load({"P33_DECISION_INTELLIGENCE": "on"}).settings, Clocks(SetClock())
    channels = channels_of(own)
    channels.lease.send(Lease(FencingToken("7") if held else None, "here"))
    if now is not None:
        assert channels.intelligence is not None
        channels.intelligence.send(now)
    registry = MetricRegistry(channels, clocks, structlog.get_logger())
    roles = RolesSource(own, channels, clocks, registry).shown(waits)
    assert isinstance(roles, RolesShown)
    return roles


def intelligence(roles: RolesShown) -> IntelligenceShown:
    assert not isinstance(roles.p35, msgspec.UnsetType)
    return roles.p35


async def test_windows_are_shown_with_their_age_and_what_stopped_plans() -> None:
    roles = shown()
    found = intelligence(roles)
    assert found.doing == "counts the results of all executors, 17 since the start"
    assert (found.age_sec, found.counted, found.pending, found.unknown) == (2.5, 17, 0, {"HOLD": 2})
    assert [(each.window, each.results) for each in found.windows] == [("1m", 0), ("5m", 5)]
    assert found.windows[1].reasons == {"p33_permit_denied:no_position": 1}
    (role,) = page_roles(roles)
    assert (role.name, role.mode, role.tone) == ("p35", "on", Tone.GOOD)
    page = page_intelligence(roles)
    assert page is not None
    assert (page.state, page.unknown) == ("5 in 5 min", (("HOLD", 2),))
    assert page.stops == (
        Stop("p33", "p33_permit_denied:no_position", 1), Stop("plan", "no reason given", 1),
    )  # fmt: skip
    assert list(intelligence_problems(roles.p35)) == []


async def test_results_that_are_not_counted_yet_are_named() -> None:
    found = intelligence(shown(msgspec.structs.replace(NOW, pending=40)))
    assert found.doing.endswith("; 40 are delivered and not counted yet")


async def test_a_standby_and_a_start_show_no_windows() -> None:
    for roles, doing in (
        (shown(held=False), "waits for the lease"),
        (shown(None), "waits for its first look at the results"),
    ):
        found = intelligence(roles)
        assert (found.doing, found.windows, found.counted) == (doing, [], None)
        (role,) = page_roles(roles)
        assert role.tone is Tone.ASIDE
        page = page_intelligence(roles)
        assert page is not None and page.state == "on"
        assert list(intelligence_problems(roles.p35)) == []


async def test_a_wait_for_another_player_or_a_key_is_a_warning() -> None:
    another = player_text("P3.5", "quantum:stream:apply.result", "theirs-1", 0.3)
    for what in (another, "Redis at r:6379: WRONGTYPE quantum:p35:status is a string, not a hash"):
        roles = shown(waits=[("position-state-brain/roles/governor", "another"), (PATH, what)])
        found = intelligence(roles)
        assert (found.waits_for, found.doing, found.windows) == (what, f"waits: {what}", [])
        (role,) = page_roles(roles)
        assert role.tone is Tone.WATCH
        (problem,) = intelligence_problems(roles.p35)
        assert problem == f"results are not counted (P3.5): waiting for {what}"


async def test_a_service_without_the_role_shows_nothing_of_it() -> None:
    assert page_intelligence(msgspec.UNSET) is None
    assert page_intelligence(RolesShown()) is None
    assert list(intelligence_problems(msgspec.UNSET)) == []
