"""The intent bridge in `/status`, in the headline and among the roles of the page."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest
import structlog

import settings
from actors.one_player import player_text
from brain.identifiers import EntryId, FencingToken, PlanId, Symbol
from channels import BridgeNow, Channels, IntentOutcome, Lease
from clocks.clocks import Clocks
from monitoring.metrics.registry import MetricRegistry
from monitoring.page_view.bridge import page_bridge
from monitoring.page_view.roles import page_roles
from monitoring.status.bridge import BridgeShown, bridge_problems
from monitoring.status.document import RolesShown
from monitoring.status.roles import RolesSource
from page.tone import Tone
from tests.monitoring.status_rig import SetClock

PATH = "position-state-brain/roles/intent_bridge"
PLANNED = IntentOutcome(
    entry_id=EntryId("1760000000000-0"),
    stream="trade.intent",
    symbol=Symbol("BTCUSDT"),
    plan_id=PlanId("0123456789abcdef"),
    reason="",
    eval_type="ENTRY",
    side="BUY",
    quantity="0.5",
    action="ENTRY_PROPOSED",
    at_ms=1_760_000_000_012,
    lag_ms=12,
)
CLOSED = msgspec.structs.replace(PLANNED, side="CLOSE", quantity="0", action="PARTIAL_50", eval_type="EXIT")
REFUSED = msgspec.structs.replace(
    PLANNED, symbol=None, plan_id=PlanId(""), reason="malformed_intent", eval_type="", side="", quantity="",
    action="", lag_ms=None,
)  # fmt: skip
NOW = BridgeNow(
    streams=("trade.intent", "exit.intent"),
    outcomes=(("lockdown", 2), ("malformed_intent", 1), ("plan", 5), ("seen", 3)),
    recent=(REFUSED, CLOSED, PLANNED),
    lockdown=False,
)


def roles(
    mode: str = "on",
    now: BridgeNow | None = NOW,
    *,
    held: bool = True,
    waits: Sequence[tuple[str, str]] = (),
) -> RolesShown | msgspec.UnsetType:
    own, clocks = settings.load({"P33_INTENT_BRIDGE": mode}).settings, Clocks(SetClock())
    channels = Channels(1, bridge=mode != "off")
    channels.lease.send(Lease(FencingToken("7") if held else None, "here"))
    if channels.bridge is not None and now is not None:
        channels.bridge.send(now)
    registry = MetricRegistry(channels, clocks, structlog.get_logger())
    return RolesSource(own, channels, clocks, registry).shown(waits)


def bridge(*args: object, **named: object) -> BridgeShown:
    shown = roles(*args, **named)  # type: ignore[arg-type]
    assert isinstance(shown, RolesShown)
    assert isinstance(shown.intent_bridge, BridgeShown)
    return shown.intent_bridge


async def test_a_bridge_that_is_off_is_not_mentioned() -> None:
    assert roles("off") is msgspec.UNSET
    assert page_bridge(msgspec.UNSET) is None
    assert list(bridge_problems(msgspec.UNSET)) == []


async def test_the_answers_are_shown_with_their_counts() -> None:
    shown = bridge()
    assert shown.doing == "reads trade.intent, exit.intent: 5 plans, 3 intents refused since the start"
    assert shown.outcomes == {"lockdown": 2, "malformed_intent": 1, "plan": 5, "seen": 3}
    assert [each.outcome for each in shown.recent] == ["malformed_intent", "plan", "plan"]
    page = page_bridge(roles())
    assert page is not None
    assert (page.state, page.tone) == ("on", Tone.GOOD)
    assert page.outcomes == (("plan", 5), ("seen", 3), ("lockdown", 2), ("malformed_intent", 1))
    assert [each.order for each in page.recent] == ["", "CLOSE PARTIAL_50", "BUY 0.5 ENTRY_PROPOSED"]
    assert [each.plan_id for each in page.recent] == ["", PLANNED.plan_id, PLANNED.plan_id]
    assert page.recent[0].symbol == "unknown"


async def test_a_shadow_says_that_nothing_executes_its_plans() -> None:
    assert "in its shadow, which nothing executes" in bridge("shadow").doing


@pytest.mark.parametrize(
    ("held", "now", "waits", "doing", "tone"),
    [
        (False, NOW, (), "waits for the lease", Tone.ASIDE),
        (True, None, (), "waits for its start", Tone.ASIDE),
        (
            True, NOW, ((PATH, player_text("Intent Bridge", "s", "theirs", 0.3)),),
            "waits: another Intent Bridge works on `s`: consumer theirs, idle 0.3 s", Tone.WATCH,
        ),
        (True, NOW, (("position-state-brain/roles/executor", "x"),), "reads trade.intent", Tone.GOOD),
        (True, msgspec.structs.replace(NOW, lockdown=True), (), "reads trade.intent", Tone.WATCH),
    ],
)  # fmt: skip
async def test_the_bridge_says_what_it_is_doing(
    held: bool, now: BridgeNow | None, waits: Sequence[tuple[str, str]], doing: str, tone: Tone
) -> None:
    assert bridge(now=now, held=held, waits=waits).doing.startswith(doing)
    (role,) = page_roles(roles(now=now, held=held, waits=waits))
    assert (role.name, role.mode, role.tone) == ("intent_bridge", "on", tone)


async def test_the_headline_names_a_wait_and_a_lockdown() -> None:
    waits = ((PATH, "Redis at r:6379: WRONGTYPE"),)
    assert list(bridge_problems(bridge(waits=waits))) == [
        "no plan is made of intents: waiting for Redis at r:6379: WRONGTYPE"
    ]
    locked = msgspec.structs.replace(NOW, lockdown=True)
    assert list(bridge_problems(bridge(now=locked))) == ["LOCKDOWN: no plan is made of entries"]
    assert list(bridge_problems(bridge())) == []
