"""Roles in status, metrics and page: what each is doing, and nothing of those that are off."""

from __future__ import annotations

import msgspec

from brain.identifiers import FencingToken
from channels import Lease, UniverseState
from monitoring.page_view.roles import page_roles
from page.content import Role
from page.rendering import Page
from page.tone import Tone
from tests.monitoring.status_rig import NOON_MS, StatusRig
from tests.page.contents import content

STATE = UniverseState(count=569, asof_epoch=NOON_MS // 1000 - 20, stale=False, error="")
WAITS = "waits for the lease, for a first read, or for another publisher to stop"
STALE = msgspec.structs.replace(STATE, stale=True, error="shrank: 200 of 569 symbols are gone")


def shown(rig: StatusRig) -> dict[str, object]:
    """The member `roles` as it is on the wire; empty where there is none."""
    document = msgspec.json.decode(msgspec.json.encode(rig.monitor.status.status()))
    roles: dict[str, object] = document.get("roles", {})
    return roles


def publishing(state: UniverseState | None, *, universe: str = "on") -> StatusRig:
    rig = StatusRig(universe=universe)
    assert rig.channels.universe_channels is not None
    if state is not None:
        lease = rig.channels.lease.value
        assert lease is not None
        assert lease.fence is not None
        rig.channels.universe_channels.state.send(msgspec.structs.replace(state, fence=lease.fence))
    return rig


async def test_roles_that_are_off_are_no_member_and_have_no_metric() -> None:
    rig = StatusRig()
    assert b'"roles"' not in msgspec.json.encode(rig.monitor.status.status())
    assert list(page_roles(rig.monitor.status.status().roles)) == []
    assert b"universe_" not in await rig.monitor.registry.exposition()


async def test_a_published_universe_is_shown_with_its_age() -> None:
    rig = publishing(STATE)
    assert shown(rig) == {
        "universe": {
            "mode": "on",
            "doing": "publishes 569 symbols for all to read",
            "symbols": 569,
            "age_sec": 20.0,
            "stale": False,
            "error": None,
        }
    }
    exposed = (await rig.monitor.registry.exposition()).decode()
    for line in ("universe_symbols 569.0", "universe_age_sec 20.0", "universe_stale 0.0"):
        assert f"{line}\n" in exposed


def test_a_shadow_says_that_it_is_one() -> None:
    role = shown(publishing(STATE, universe="shadow"))["universe"]
    assert isinstance(role, dict)
    assert (role["mode"], role["doing"]) == ("shadow", "publishes 569 symbols in its shadow")


def test_a_stale_universe_is_shown_with_its_error() -> None:
    role = shown(publishing(STALE))["universe"]
    assert isinstance(role, dict)
    assert (role["stale"], role["error"]) == (True, STALE.error)
    assert role["doing"] == f"leaves 569 symbols standing, marked as stale: {STALE.error}"


async def test_a_standby_shows_no_publication_of_its_own_and_its_gauges_are_no_numbers() -> None:
    rig = publishing(STATE)
    rig.channels.lease.send(Lease(None, "another"))
    role = shown(rig)["universe"]
    assert isinstance(role, dict)
    assert role["doing"] == WAITS
    assert role["symbols"] is role["age_sec"] is role["stale"] is role["error"] is None
    exposed = (await rig.monitor.registry.exposition()).decode()
    assert "universe_symbols NaN\n" in exposed


def test_a_publication_of_an_earlier_lease_is_not_shown() -> None:
    rig = publishing(STATE)
    rig.channels.lease.send(Lease(FencingToken("another@host"), "me"))
    role = shown(rig)["universe"]
    assert isinstance(role, dict)
    assert (role["doing"], role["symbols"]) == (WAITS, None)


def test_the_page_has_a_card_of_the_roles_that_are_on_and_none_without() -> None:
    tones = {
        None: Tone.ASIDE,
        STATE: Tone.GOOD,
        STALE: Tone.WATCH,
    }
    for state, tone in tones.items():
        (role,) = page_roles(publishing(state).monitor.status.status().roles)
        assert (role.name, role.mode, role.tone) == ("universe", "on", tone)
    page = Page()
    assert 'id="roles"' not in "".join(page.document(content()))
    html = "".join(page.document(content(roles=(Role("universe", "shadow", Tone.WATCH, "<leaves> it"),))))
    assert 'id="roles"' in html
    assert "&lt;leaves&gt; it" in html
    assert "shadow" in html
