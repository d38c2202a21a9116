"""Decisions as the service leaves them in a real Redis: written by its own writer and commit script."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import redis

from actors.permit_evaluator.commit import DecisionWriter
from brain.decisions.answer import Answer
from brain.decisions.case import Case
from brain.decisions.dead_letter import dead_letter
from brain.decisions.decision import decide
from brain.governor.case import GovernorCase
from brain.governor.judgement import Judgement
from brain.governor.judging import judge
from brain.governor.record import audit_fields
from brain.identifiers import EntryId, FencingToken, PlanId, Symbol
from brain.plans.permit import Decision
from settings import Secret
from store.records import Committed, DecisionCommit, Entry
from store.redis.store import RedisStore, open_redis_store
from tests.brain.cases import NOW_MS, RULES
from tests.commands.deployment import Capture

PLAN = {"symbol": "BTCUSDT", "decision": "EXECUTE", "action": "PARTIAL_75", "side": "SELL", "k_heat": "0.31"}

Decided = tuple[str, Decision, Case | None]


class Recording:
    """A Redis, with the service's side of it."""

    def __init__(
        self, url: str, prefix: str, capsys: Capture, store: RedisStore, fence: FencingToken
    ) -> None:
        self.environ = {"REDIS_URL": url, "P33_KEY_PREFIX": prefix}
        self.redis = redis.Redis.from_url(url, decode_responses=True, protocol=3)
        self.prefix = prefix
        self.capsys = capsys
        self._store = store
        self._fence = fence
        self._writer = DecisionWriter(RULES, "build-1 host:8045", Secret("a key"))

    def publish(self, plan_id: str, fields: Mapping[str, str | bytes] = PLAN) -> str:
        """Return a plan, as its publisher leaves it."""
        return self.append("apply.plan", {"plan_id": plan_id, **fields})

    def append(self, stream: str, fields: Mapping[str, str | bytes], entry_id: str = "*") -> str:
        """Return an entry on one of the streams; its id."""
        return self.append_to(f"{self.prefix}:stream:{stream}", fields, entry_id)

    def append_to(self, key: str, fields: Mapping[str, str | bytes], entry_id: str = "*") -> str:
        """Append an entry to a stream of any name; return its id."""
        return str(self.redis.xadd(key, dict(fields), id=entry_id))  # type: ignore[arg-type]

    def first(self, stream: str) -> str:
        """Return the id of the first entry of one of the streams."""
        entries: list[tuple[str, dict[str, str]]] = self.redis.xrange(
            f"{self.prefix}:stream:{stream}", count=1
        )  # type: ignore[assignment]
        return entries[0][0]

    async def read(self) -> list[Entry]:
        """Deliver what was published."""
        return await self._store.plans.read_new(count=1000, block_ms=0)

    async def decide(self, plan_id: str, the_case: Case, fields: Mapping[str, str | bytes] = PLAN) -> None:
        """Publish a plan and commit what `the_case` makes of it."""
        await self.commit([(plan_id, decide(the_case), the_case)], fields)

    async def commit(
        self, decided: Sequence[Decided], fields: Mapping[str, str | bytes] = PLAN, error: str = ""
    ) -> None:
        """Publish plans and commit these decisions on them; with `error`, dead-letter them too."""
        for plan_id, _, _ in decided:
            self.publish(plan_id, fields)
        commits: list[DecisionCommit] = []
        for entry, (plan_id, decision, the_case) in zip(await self.read(), decided, strict=True):
            assert entry.fields is not None
            answer = Answer(entry.id, PlanId(plan_id), Symbol("BTCUSDT"), decision, the_case, entry.fields)
            dead = dead_letter(entry.fields, entry_id=entry.id, error=error) if error else ()
            commits.append(
                self._writer.commit(
                    answer, assumed=None, deadline_ms=0, created_at_sec=time.time(), dead_fields=dead
                )
            )
        reply = await self._store.commit_decisions(self._fence, commits)
        assert all(isinstance(verdict, Committed) for verdict in reply.verdicts)

    def judge(
        self,
        plan_id: str,
        the_case: GovernorCase | None,
        judgement: Judgement | None = None,
        *,
        stream: str = "quantum:stream:governor.audit",
    ) -> None:
        """Append a judgement to the Governor's audit, as the Governor does; by default that of `the_case`."""
        if judgement is None:
            assert the_case is not None
            judgement = judge(the_case)
        flat = audit_fields(
            judgement,
            the_case,
            plan_id=PlanId(plan_id),
            symbol=Symbol("BTCUSDT"),
            entry_id=EntryId("1-0"),
            decided_ms=NOW_MS,
            issued_by="build here:8045",
            fields={},
        )
        self.redis.xadd(stream, dict(zip(flat[::2], flat[1::2], strict=True)))

    async def acknowledge(self, entry: Entry) -> None:
        await self._store.plans.acknowledge(self._fence, [entry.id])

    async def dead_letter(self, entry: Entry, error: str) -> None:
        assert entry.fields is not None
        await self._store.plans.dead_letter(
            self._fence, entry.id, dead_letter(entry.fields, entry_id=entry.id, error=error)
        )


@asynccontextmanager
async def recording(url: str, capsys: Capture, prefix: str = "quantum") -> AsyncIterator[Recording]:
    """Yield a service that holds the lease, and whose consumer group exists."""
    async with open_redis_store(url, prefix=prefix, consumer="me") as store:
        await store.plans.create(lost=False)
        reply = await store.hold_lease("me", None, 60_000)
        rig = Recording(url, prefix, capsys, store, reply.fence)
        try:
            yield rig
        finally:
            rig.redis.close()
