"""The intent bridge in `/status` and on the page: what became of intents."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from channels import BridgeNow, Channels, IntentOutcome
from monitoring.status.acting import obstacle_of
from settings import Settings

_PLAN, _SEEN = "plan", "seen"


class IntentShown(msgspec.Struct, frozen=True, kw_only=True):
    """Answer to one intent. `plan_id` is empty, `lag_ms` null where it is not known.

    `outcome` is `plan` or the reason of a refusal; `side`, `quantity` and `action` are the plan's. `at_ms`:
    Redis's clock.
    """

    entry_id: str
    stream: str
    symbol: str | None
    outcome: str
    plan_id: str
    eval_type: str
    side: str
    quantity: str
    action: str
    at_ms: int
    lag_ms: int | None


class BridgeShown(msgspec.Struct, frozen=True, kw_only=True):
    """The intent bridge: `doing` is a sentence, `waits_for` another player of the role, or Redis.

    The others are null or empty on a standby. `outcomes`: answers since the start of the process, by outcome;
    `lockdown`: as the latest entry met it, null before.
    """

    mode: str
    doing: str
    waits_for: str | None = None
    streams: list[str] = []
    lockdown: bool | None = None
    outcomes: dict[str, int] | None = None
    recent: list[IntentShown] = []


def bridge_shown(
    settings: Settings, channels: Channels, waits: Sequence[tuple[str, str]]
) -> BridgeShown | msgspec.UnsetType:
    """Return the intent bridge; unset where it is off. `waits`: the tree's, as (path, dependency)."""
    if channels.bridge is None:
        return msgspec.UNSET
    mode, now = settings.intent_bridge, channels.bridge.value
    obstacle = obstacle_of("intent_bridge", channels.lease.value, waits)
    if obstacle is not None:
        return BridgeShown(mode=mode, doing=obstacle.doing, waits_for=obstacle.waits_for)
    if now is None:
        return BridgeShown(mode=mode, doing="waits for its start")
    return BridgeShown(
        mode=mode,
        doing=_doing(mode, now),
        streams=list(now.streams),
        lockdown=now.lockdown,
        outcomes=dict(now.outcomes),
        recent=[_intent(each) for each in now.recent],
    )


def bridge_problems(shown: BridgeShown | msgspec.UnsetType) -> Iterator[str]:
    """Yield what the page warns of: intents that wait, and a lockdown."""
    if isinstance(shown, msgspec.UnsetType):
        return
    if shown.waits_for is not None:
        yield f"no plan is made of intents: waiting for {shown.waits_for}"
    if shown.lockdown:
        yield "LOCKDOWN: no plan is made of entries"


def _doing(mode: str, now: BridgeNow) -> str:
    counts = dict(now.outcomes)
    plans = counts.get(_PLAN, 0)
    refused = sum(counts.values()) - plans - counts.get(_SEEN, 0)
    where = "" if mode == "on" else " in its shadow, which nothing executes"
    return f"reads {', '.join(now.streams)}: {plans} plans{where}, {refused} intents refused since the start"


def _intent(outcome: IntentOutcome) -> IntentShown:
    return IntentShown(
        entry_id=outcome.entry_id,
        stream=outcome.stream,
        symbol=outcome.symbol,
        outcome=outcome.reason or _PLAN,
        plan_id=outcome.plan_id,
        eval_type=outcome.eval_type,
        side=outcome.side,
        quantity=outcome.quantity,
        action=outcome.action,
        at_ms=outcome.at_ms,
        lag_ms=outcome.lag_ms,
    )
