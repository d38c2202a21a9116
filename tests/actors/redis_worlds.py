"""An evaluator's and a ledger writer's world over the twin and over each redis-server, in real time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import trio

from brain.decisions.case import Rules
from brain.identifiers import FencingToken
from clock import HostClock
from permit_gate.bridge import trio_asyncio
from store.keys import Keys
from store.records import CommitReply, DecisionCommit
from store.redis.store import RedisStore
from tests.actors.evaluator_rig import EvaluatorRig, EvaluatorWorld, WatchedCommits
from tests.actors.executor_rig import ExecutorRig, ExecutorWorld
from tests.actors.ledger_rig import LedgerRig, LedgerWorld
from tests.store.backends import PlainRedis
from tests.store.redis_servers import known_servers, running

SERVERS = known_servers()
#: For parametrization: the twin, and every redis-server that there is.
BACKENDS = ["memory", *SERVERS]


class WatchedRedis(WatchedCommits, RedisStore):
    """The store on a real Redis, watched."""

    async def commit_decisions(self, fence: FencingToken, decisions: Sequence[DecisionCommit]) -> CommitReply:
        await self.on_the_way(decisions)
        return self.observed(await super().commit_decisions(fence, decisions))


@asynccontextmanager
async def redis_store(name: str) -> AsyncIterator[tuple[WatchedRedis, PlainRedis]]:
    """A store on a redis-server of that name, started for it, and a plain client."""
    with running(SERVERS[name]) as server, server.client() as client:
        async with trio_asyncio.open_loop():
            store = WatchedRedis(server.url, keys=Keys("quantum"), consumer="me")
            try:
                yield store, PlainRedis(client)
            finally:
                with trio.CancelScope(shield=True):
                    await store.close()


@asynccontextmanager
async def evaluator_world(
    name: str, *, rules: Rules, patience_sec: float = 30.0
) -> AsyncIterator[tuple[EvaluatorWorld, WatchedCommits]]:
    """A world on the backend of that name, empty, and its watched store; given up after `patience_sec`."""
    with trio.fail_after(patience_sec):
        if name == "memory":
            rig = EvaluatorRig(rules=rules)
            yield rig, rig.store
            return
        async with redis_store(name) as (store, client):
            yield EvaluatorWorld(store, client, HostClock(), on_demand=True, rules=rules), store


@asynccontextmanager
async def ledger_world(name: str, *, patience_sec: float = 30.0) -> AsyncIterator[LedgerWorld]:
    """The same for a ledger writer."""
    with trio.fail_after(patience_sec):
        if name == "memory":
            yield LedgerRig()
            return
        async with redis_store(name) as (store, client):
            yield LedgerWorld(store, client, HostClock())


@asynccontextmanager
async def executor_world(name: str, *, patience_sec: float = 30.0) -> AsyncIterator[ExecutorWorld]:
    """The same for an executor."""
    with trio.fail_after(patience_sec):
        if name == "memory":
            yield ExecutorRig()
            return
        async with redis_store(name) as (store, client):
            yield ExecutorWorld(store, client, HostClock())
