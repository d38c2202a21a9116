"""One actor's failure is one actor's restart, and nothing in flight is lost."""

from __future__ import annotations

import msgspec
import pytest

from tests.integration.http_side import body
from tests.integration.pipeline import PLANS, RESULTS, entry
from tests.integration.service_in_process import SabotageError
from tests.integration.site import Site
from tests.integration.surroundings import SYMBOLS, is_ready, readiness, trade
from tests.integration.waiting import until
from tests.test_service_tree import groups, the_tree

ACTORS = tuple(child.name for group in groups(the_tree(shards=2)) for child in group.children)
#: Who is ended with whom: only who has the HTTP port may hold the lease.
DEPENDENT = {"metrics": ("lease_holder",)}
#: Settings by which a role is there and changes nothing for the others.
SWITCHES = {
    "universe_publisher": {"P33_UNIVERSE": "shadow"},
    "executor": {"P33_EXECUTOR": "dry_run"},
    "governor": {"P33_GOVERNOR": "shadow"},
    "reconcile_engine": {"P33_RECONCILE": "shadow"},
    "intent_bridge": {"P33_INTENT_BRIDGE": "shadow"},
    "decision_intelligence": {"P33_DECISION_INTELLIGENCE": "on"},
}


@pytest.mark.parametrize("actor", ACTORS)
async def test_a_crashed_actor_restarts_and_entries_of_that_time_are_answered_and_booked_once(
    site: Site, actor: str
) -> None:
    exchange = site.exchange
    async with site.service(P33_SHARDS="2", **SWITCHES.get(actor, {})) as service:
        before = await site.ask("before", entry("BTCUSDT", "0.004"))
        lease = service.channels.lease.value
        order = trade(exchange, "BTCUSDT", "BUY", "0.004")
        exchange.faults.rest_latency_ms = 100

        service.strike(actor)
        await until(lambda: service.actor(actor).state == "backing_off", f"{actor} is down")
        site.publish_fill("before", order)
        for symbol in SYMBOLS:
            site.publish_plan(f"during-{symbol}", entry(symbol, "20"))

        for symbol in SYMBOLS:
            answer = await site.permit(f"during-{symbol}")
            assert answer["reason"] not in ("evaluation_failed", "plan_expired")
        await site.ledger_reaches("BTCUSDT", "0.004")
        site.publish_fill("before", order)
        await site.nothing_pends(PLANS, RESULTS)
        restarted = {actor: 1, **dict.fromkeys(DEPENDENT.get(actor, ()), 1)}
        await until(lambda: service.restarts() == restarted, f"{actor} is back")
        await is_ready(lambda: service.url)
        after = await site.ask("after", entry("ETHUSDT", "0.01"))

        assert before["allow"] and after["plan_id"] == "after"
        assert site.ledger("BTCUSDT")["version"] == "2"
        assert service.restarts() == restarted
        assert service.actor(actor).last_reason == f"{SabotageError.__module__}.{SabotageError.__qualname__}"
        assert service.channels.lease.value == lease
        await site.decided_once(["before", "after", *(f"during-{symbol}" for symbol in SYMBOLS)])


async def test_a_symbol_that_was_flat_may_be_opened_again_as_soon_as_its_actors_are_back(site: Site) -> None:
    async with site.service(P33_SHARDS="2") as service:
        for number, actor in enumerate(("user_stream", "snapshot_fetcher_0", "permit_evaluator")):
            service.strike(actor)
            symbol = SYMBOLS[number]

            await until(lambda a=actor: service.restarts().get(a) == 1, actor)  # type: ignore[misc]
            await is_ready(lambda: service.url)
            answer = await site.ask(f"open-{symbol}", entry(symbol, "20"))
            assert answer["reason"] == "open_permit_granted"


async def test_plans_and_results_in_a_stream_of_crashes_are_each_answered_and_booked_once(site: Site) -> None:
    rounds = 6
    async with site.service(P33_SHARDS="2") as service:
        for number in range(rounds):
            service.strike(("permit_evaluator", "ledger_writer")[number % 2])
            for symbol in SYMBOLS[:4]:
                site.publish_plan(f"{symbol}-{number}", entry(symbol, "10"))
                site.fill(f"{symbol}-{number}", symbol, "BUY", "10")
            await until(
                lambda so_many=number + 1: sum(service.restarts().values()) == so_many,  # type: ignore[misc]
                "it is back",
            )
        plans = [f"{symbol}-{number}" for symbol in SYMBOLS[:4] for number in range(rounds)]
        await site.decided_once(plans)
        await site.nothing_pends(PLANS, RESULTS)
        for symbol in SYMBOLS[:4]:
            await site.ledger_reaches(symbol, str(10 * rounds))
        assert service.restarts() == {"ledger_writer": rounds // 2, "permit_evaluator": rounds // 2}
        status, _ = await readiness(service.url)
        assert status == 200


class Node(msgspec.Struct):
    """A supervisor or an actor, as `/status` shows it."""

    name: str
    state: str
    restarts: int
    last_reason: str | None
    children: list[Node]

    def named(self, name: str) -> Node:
        """Return the one of that name among those right below."""
        (child,) = [child for child in self.children if child.name == name]
        return child


class Status(msgspec.Struct):
    tree: Node


async def test_status_shows_the_tree_as_a_tree_with_the_reasons_of_its_restarts(site: Site) -> None:
    async with site.service(P33_SHARDS="2") as service:
        for actor in ("metrics", "snapshot_fetcher_1"):
            service.strike(actor)
            await until(lambda a=actor: service.restarts().get(a) == 1, actor)  # type: ignore[misc]
        await is_ready(lambda: service.url)
        tree = msgspec.json.decode(await body(service.url, "/status"), type=Status).tree

        groups = ["presence", "exchange", "snapshots", "decisions", "notices"]
        assert [group.name for group in tree.children] == groups
        presence, snapshots = tree.named("presence"), tree.named("snapshots")
        assert [child.name for child in presence.children] == ["metrics", "lease_holder"]
        struck = snapshots.named("snapshot_fetcher_1")
        assert (struck.restarts, struck.state) == (1, "running")
        assert struck.last_reason is not None and struck.last_reason.endswith("SabotageError")
        assert snapshots.named("snapshot_fetcher_0").last_reason is None
        assert presence.named("lease_holder").last_reason == "ended with metrics"
        assert tree.restarts == presence.restarts == 0
