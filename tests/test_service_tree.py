"""The real tree with its real limits, on virtual time; its actors are stand-ins that fail on request."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from random import SystemRandom
from typing import Any
from unittest.mock import MagicMock

import msgspec
import pytest
import trio

import settings
from actors.lease_holder import LEASE_TTL_SEC
from supervision import (
    ChildSpec,
    Escalated,
    Heartbeat,
    NodeStatus,
    RestartIntensityExceeded,
    SupervisorSpec,
    Tree,
)
from tests.supervision.rig import Actor, Journal, crashes_after, obedient, rigged, running, tree_of
from tests.virtual_time import virtual_time
from wiring.actors import ServiceActors
from wiring.roles import channels_of

pytestmark = virtual_time

#: Every role and the notifier are switched on, so that the tests that run over all actors find it.
ROLES = {
    "P33_UNIVERSE": "on",
    "P33_EXECUTOR": "on",
    "P33_GOVERNOR": "on",
    "P33_RECONCILE": "on",
    "P33_INTENT_BRIDGE": "on",
    "P33_DECISION_INTELLIGENCE": "on",
    "P33_NOTICE_URL": "json+http://localhost/",
}


def the_tree(failing: Mapping[str, Actor] | None = None, shards: int = 4) -> SupervisorSpec:
    """The service's; in the place of its actors, those in `failing` or else obedient ones."""
    return rigged(spec_of({"P33_SHARDS": str(shards), **ROLES}), partial(stand_in, failing or {}))


def stand_in(failing: Mapping[str, Actor], child: ChildSpec) -> ChildSpec:
    return msgspec.structs.replace(child, start=failing.get(child.name, obedient))


def spec_of(environ: Mapping[str, str]) -> SupervisorSpec:
    """The tree as these settings make it."""
    own, unused = settings.load(environ).settings, MagicMock()
    channels = channels_of(own)
    return ServiceActors(own, channels, unused, unused, clocks=unused, rng=SystemRandom(), log=unused).tree()


def groups(tree: SupervisorSpec) -> list[SupervisorSpec]:
    return [group for group in tree.children if isinstance(group, SupervisorSpec)]


GROUPS = {group.name: tuple(child.name for child in group.children) for group in groups(the_tree())}
ACTORS = [actor for actors in GROUPS.values() for actor in actors]
GUARD = [actor for actor in ACTORS if actor not in (*GROUPS["roles"], *GROUPS["notices"])]


def restarts(node: NodeStatus) -> dict[str, int]:
    """Return the restarts of each actor and group that was restarted."""
    own = {node.name: node.restarts} if node.restarts else {}
    for child in node.children:
        own |= restarts(child)
    return own


async def ends(tree: Tree) -> tuple[RestartIntensityExceeded, float]:
    """Run until it gives up: with what, and after how many seconds."""
    begun_sec = trio.current_time()
    with pytest.raises(RestartIntensityExceeded) as gave_up:
        await tree.run()
    return gave_up.value, trio.current_time() - begun_sec


def test_the_groups_and_their_order_are_these() -> None:
    tree = the_tree()
    assert list(GROUPS) == ["presence", "exchange", "snapshots", "decisions", "notices", "roles"]
    assert GROUPS["presence"] == ("metrics", "lease_holder")
    assert GROUPS["decisions"][:2] == ("ledger_writer", "permit_evaluator")
    assert {group.name for group in groups(tree) if group.strategy == "rest_for_one"} == {"presence"}
    assert tree.strategy == "one_for_one"


def test_roles_that_are_off_are_no_part_of_the_tree() -> None:
    spec = spec_of({})
    present = ["presence", "exchange", "snapshots", "decisions", "notices"]
    assert [group.name for group in groups(spec)] == present
    names = {child.name for group in groups(spec) for child in group.children}
    assert names == {*GUARD, *GROUPS["notices"]}


def test_every_actor_is_watched_for_stalls() -> None:
    actors = [actor for group in groups(the_tree()) for actor in group.children]
    assert len(actors) == len(ACTORS)
    assert all(isinstance(actor, ChildSpec) and actor.stall_limit_sec == 10 for actor in actors)


@pytest.mark.parametrize("actor", GUARD)
async def test_one_hopeless_actor_ends_the_service_within_a_minute_and_not_at_once(actor: str) -> None:
    journal = Journal()
    gave_up, took_sec = await ends(tree_of(the_tree({actor: crashes_after(0, OSError("no"))}), journal))
    (group,) = [name for name, actors in GROUPS.items() if actor in actors]
    assert gave_up.supervisor == "position-state-brain"
    assert gave_up.child == f"position-state-brain/{group}"
    assert 10 < took_sec < 75
    escalated = [event.name for event in journal.events if isinstance(event, Escalated)]
    assert escalated == [group] * 3 + ["position-state-brain"]


@pytest.mark.parametrize("actor", GROUPS["roles"])
async def test_a_hopeless_role_is_restarted_for_ever_and_the_guard_lives_on(actor: str) -> None:
    journal = Journal()
    tree = tree_of(the_tree({actor: crashes_after(0, OSError("no"))}), journal)
    async with running(tree):
        await trio.sleep(7_200)
        assert not [event for event in journal.events if isinstance(event, Escalated)]
        counts = restarts(tree.status())
        assert counts.keys() == {actor}
        assert counts[actor] > 1_000


@pytest.mark.parametrize("actor", GUARD)
async def test_a_hopeless_actor_leaves_the_other_groups_alone_until_the_end(actor: str) -> None:
    tree = tree_of(the_tree({actor: crashes_after(0, OSError("no"))}), Journal())
    await ends(tree)
    (group,) = [name for name, actors in GROUPS.items() if actor in actors]
    assert restarts(tree.status()).keys() <= {group, *GROUPS[group]}


@pytest.mark.simulation
@pytest.mark.parametrize("actor", ACTORS)
async def test_a_failure_now_and_then_never_ends_anything(actor: str) -> None:
    journal = Journal()
    async with running(tree_of(the_tree({actor: crashes_after(120, OSError("no"))}), journal)):
        await trio.sleep(6_100)
        assert not [event for event in journal.events if isinstance(event, Escalated)]
        assert journal.lines().count(f"{actor} crashed") == 50


async def test_a_failure_restarts_its_actor_and_no_other() -> None:
    for actor in ACTORS:
        failures = iter([crashes_after(1, OSError("no")), obedient])

        async def fails_once(heartbeat: Heartbeat, how: Any = failures) -> None:
            await next(how)(heartbeat)

        tree = tree_of(the_tree({actor: fails_once}), Journal())
        async with running(tree):
            await trio.sleep(100)
            ended_with_it = {"lease_holder": 1} if actor == "metrics" else {}
            assert restarts(tree.status()) == {actor: 1, **ended_with_it}


async def test_the_lease_holder_is_ended_before_the_port_is_tried_again() -> None:
    journal = Journal()
    async with running(tree_of(the_tree({"metrics": crashes_after(50, OSError("no"))}), journal)):
        journal.forget()
        await trio.sleep(60)
        assert journal.lines() == [
            "metrics crashed", "lease_holder out of grace", "metrics started", "lease_holder started",
        ]  # fmt: skip


def test_a_failure_of_metrics_does_not_cost_the_lease() -> None:
    (presence, *_) = groups(the_tree())
    assert presence.backoff.maximum_sec < LEASE_TTL_SEC


@pytest.mark.parametrize("shards", [1, 4, 64])
async def test_all_shards_may_fail_at_once_and_nothing_escalates(shards: int) -> None:
    journal = Journal()
    failing = {f"snapshot_fetcher_{shard}": crashes_after(600, OSError("no")) for shard in range(shards)}
    async with running(tree_of(the_tree(failing, shards), journal)):
        await trio.sleep(700)
        assert sum(line.endswith(" crashed") for line in journal.lines()) == shards
        assert not [event for event in journal.events if isinstance(event, Escalated)]


@pytest.mark.parametrize("shards", [1, 64])
async def test_one_hopeless_shard_ends_the_service_however_many_there_are(shards: int) -> None:
    failing = {"snapshot_fetcher_0": crashes_after(0, OSError("no"))}
    _, took_sec = await ends(tree_of(the_tree(failing, shards), Journal()))
    assert took_sec < 1200
