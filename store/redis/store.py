"""Store on a real Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial

import msgspec
import trio

from brain.durability import Durability
from brain.identifiers import EntryId, FencingToken, PlanId, Symbol
from store.keys import GROUP, Keys, PlanStream
from store.protocol import LONGEST_BLOCK_MS
from store.records import (
    Adoption,
    CommitReply,
    DecisionCommit,
    Entry,
    HoldsAndCooldowns,
    LeaseReply,
    MarkWrite,
    PermitTraces,
    RedisRun,
    SnapshotWrite,
    UnknownOutcomes,
)
from store.redis import diagnostics
from store.redis.asyncio_bridge import open_bridge
from store.redis.bookings import RedisBookings
from store.redis.client import RedisLink, naming
from store.redis.consumer_group import RedisConsumerGroup
from store.redis.desk import RedisDesk
from store.redis.replies import read_commit_reply, read_time
from store.redis.roles import RedisRoles
from store.redis.runs import ComparedRun, unrefused
from store.redis.scripts import ScriptRunner
from store.redis.universe import RedisUniverse
from store.redis.waiting import RedisWaiting
from store.stored_values import (
    read_group_start,
    read_lease,
    read_moment,
    read_text,
    read_unknown_outcomes,
)

_BLOCK_MARGIN_SEC = 2.0
#: Entries a script handles at once: Redis serves no other client in that time, less than 1 ms.
_SYMBOLS_A_SCRIPT = 200
#: Redis runs one command at a time: what searches have under way, decisions wait for.
_DESK_CONNECTIONS = 2
_NO_MARK = MarkWrite("", "", "", "")
#: The same for decisions, which take it 3-5 ms.
_DECISIONS_A_SCRIPT = 64
_pack = msgspec.msgpack.encode


class RedisStore(RedisBookings, RedisUniverse, RedisRoles, RedisDesk, RedisWaiting):
    """Redis behind `store.execution_protocol.ServiceStore`.

    Each blocking read has a client of its own, so that waiting for plans never delays a commit; so have the
    desk's pages, so that their searches do not.
    """

    def __init__(
        self,
        url: str,
        *,
        keys: Keys,
        consumer: str,
        timeout_sec: float = 1.0,
        governor_shadow: bool = False,
        reconcile_shadow: bool = False,
        bridge_shadow: bool = False,
    ) -> None:
        """Take `consumer`, the name in the consumer groups, and `timeout_sec`, the deadline of each call."""
        self._keys = keys
        reader_sec = LONGEST_BLOCK_MS / 1000 + _BLOCK_MARGIN_SEC
        first = RedisLink(url, timeout_sec=reader_sec)
        # At a move the links end in the order in which they were made: reads first, which wait for long.
        self._readers = [first]
        self._readers += [RedisLink(url, timeout_sec=reader_sec, beside=first) for _ in range(5)]
        self._writes = RedisLink(url, timeout_sec=timeout_sec, beside=first)
        self._desk = RedisLink(url, timeout_sec=timeout_sec, beside=first, most=_DESK_CONNECTIONS)
        self._desk_scripts = ScriptRunner(self._desk)
        self.address = self._writes.address
        self._scripts = ScriptRunner(self._writes)
        self._plan_run = ComparedRun(self._writes, keys)
        group = partial(
            RedisConsumerGroup, consumer=consumer, keys=keys, writes=self._writes, scripts=self._scripts
        )
        self.plans = group(
            stream=keys.plans, dead=keys.dead_plans, start=self._plan_group_start,
            suspects_alone=True, reads=self._readers[0],
        )  # fmt: skip
        self.results = group(
            stream=keys.results, dead=keys.dead_results, start=self._result_group_start,
            suspects_alone=False, reads=self._readers[1], last=keys.last_result_id,
        )  # fmt: skip
        self._open_roles(
            partial(self._role_group, group), self._readers[2:],
            governor_shadow=governor_shadow, reconcile_shadow=reconcile_shadow, bridge_shadow=bridge_shadow,
        )  # fmt: skip

    async def close(self) -> None:
        """Close all connections."""
        for link in (self._writes, self._desk, *self._readers):
            await link.close()

    def _role_group(
        self, group: partial[RedisConsumerGroup], reads: RedisLink, stream: PlanStream
    ) -> RedisConsumerGroup:
        return group(
            stream=stream.key, dead=stream.dead, start=partial(self._role_group_start, stream),
            group=stream.group, suspects_alone=True, reads=reads, last=stream.last_id,
        )  # fmt: skip

    async def _role_group_start(self, stream: PlanStream, lost: bool) -> str:
        last = None
        if stream.last_id:
            with naming(stream.last_id):
                last = await self._writes.command("GET", stream.last_id)
        now_ms = read_time(await self._writes.command("TIME"))
        return read_group_start(last, lost=lost, now_ms=now_ms)

    async def _plan_group_start(self, lost: bool) -> str:
        was_here = bool(await self._writes.command("EXISTS", self._keys.redis_run))
        return "0" if lost or was_here else "$"

    async def _result_group_start(self, lost: bool) -> str:
        with naming(self._keys.last_result_id):
            last = await self._writes.command("GET", self._keys.last_result_id)
        return read_group_start(last, lost=lost, now_ms=await self.redis_now_ms())

    async def commit_decisions(self, fence: FencingToken, decisions: Sequence[DecisionCommit]) -> CommitReply:
        losses = self._plan_run.losses
        calls = [
            (self._keys.prefix, fence, GROUP, _pack(decisions[first : first + _DECISIONS_A_SCRIPT]))
            for first in range(0, len(decisions) or 1, _DECISIONS_A_SCRIPT)
        ]
        if len(calls) == 1:
            return read_commit_reply([await self._scripts.run("commit_decisions", *calls[0], losses=losses)])
        answers = await self._scripts.run_each("commit_decisions", calls, losses=losses)
        return read_commit_reply(answers)

    async def redis_now_ms(self) -> int:
        return read_time(await self._writes.command("TIME"))

    async def redis_run(self, known_run_id: str | None) -> RedisRun:
        return await self._plan_run.compare(known_run_id)

    async def unknown_outcomes(self) -> UnknownOutcomes:
        with naming(self._keys.unknown_outcomes):
            stored = await self._writes.command("HGETALL", self._keys.unknown_outcomes)
        return UnknownOutcomes(await self.redis_now_ms(), read_unknown_outcomes(stored))

    async def ledger_amounts(self, symbols: Sequence[str]) -> dict[str, str]:
        amounts: dict[str, str] = {}
        for begin in range(0, len(symbols), _SYMBOLS_A_SCRIPT):
            some = symbols[begin : begin + _SYMBOLS_A_SCRIPT]
            answers = await self._scripts.run("ledger_amounts", self._keys.prefix, *some)
            for symbol, answer in zip(some, answers, strict=True):
                if (text := read_text(answer)) is not None:
                    amounts[symbol] = text
        return amounts

    async def adopt_ledgers(
        self, fence: FencingToken, adoptions: Sequence[Adoption], ttl_ms: int
    ) -> list[str]:
        answer = await self._scripts.run("adopt_ledgers", self._keys.prefix, fence, ttl_ms, _pack(adoptions))
        return [symbol.decode() for symbol in answer]

    async def emit_event(self, fence: FencingToken, fields: Sequence[str]) -> None:
        await self._scripts.run("emit_event", self._keys.prefix, fence, _pack(fields))

    async def renew_ledgers(self, fence: FencingToken, symbols: Sequence[str], ttl_ms: int) -> None:
        await self._scripts.run("renew_ledgers", self._keys.prefix, fence, ttl_ms, *symbols)

    async def write_snapshots(self, fence: FencingToken, snapshots: Sequence[SnapshotWrite]) -> None:
        await self._scripts.run("write_snapshots", self._keys.prefix, fence, _pack(snapshots))

    async def prove_snapshots(
        self,
        fence: FencingToken,
        written_ms: Mapping[str, int],
        *,
        times: Mapping[str, str],
        verified_by: str,
        ttl_sec: int,
        marks: Mapping[str, MarkWrite],
    ) -> list[str]:
        arguments: list[str | int] = []
        for symbol, was_ms in written_ms.items():
            mark = marks.get(symbol, _NO_MARK)
            arguments += (symbol, was_ms, mark.mark_price, mark.unrealized_pnl, mark.mark_ts_epoch_ms)
        answer = await self._scripts.run(
            "prove_snapshots",
            self._keys.prefix,
            fence,
            ttl_sec,
            times["ts_epoch"],
            times["ts_epoch_ms"],
            times["ts_iso"],
            verified_by,
            *arguments,
        )
        return [symbol.decode() for symbol in answer]

    async def write_marks(self, fence: FencingToken, marks: Sequence[MarkWrite]) -> None:
        await self._scripts.run("write_marks", self._keys.prefix, fence, _pack(marks))

    async def unread_result(self, after: str) -> EntryId | None:
        answer = await self._writes.command("XRANGE", self._keys.results, f"({after}", "+", "COUNT", 1)
        return EntryId(answer[0][0].decode()) if answer else None

    async def recent_intents(self, after: str, before: str | None, count: int) -> list[Entry]:
        newest = "+" if before is None else f"({before}"
        answer = await self._writes.command(
            "XREVRANGE", self._keys.intents, newest, f"({after}", "COUNT", count
        )
        return [Entry(EntryId(entry_id.decode()), fields or {}) for entry_id, fields in answer]

    async def hold_lease(
        self, instance: str, fence: FencingToken | None, ttl_ms: int, *, process: str = ""
    ) -> LeaseReply:
        with naming(f"{self._keys.lease} or {self._keys.fence}"):
            held, lease, replaced, unbroken = await self._scripts.run(
                "hold_lease", self._keys.prefix, instance, process, fence or "", ttl_ms
            )
        return read_lease(lease, held=bool(held), replaced=replaced, unbroken=bool(unbroken))

    async def release_lease(self, fence: FencingToken) -> None:
        await self._scripts.run("release_lease", self._keys.prefix, fence)

    async def remember_ban(self, until_ms: int) -> None:
        await self._writes.command("SET", self._keys.ban, str(until_ms), "PXAT", until_ms)

    async def remembered_ban(self) -> int | None:
        with naming(self._keys.ban):
            return read_moment(await self._writes.command("GET", self._keys.ban))

    async def holds_and_cooldowns(self, symbols: Sequence[str], booked: Sequence[str]) -> HoldsAndCooldowns:
        return await diagnostics.holds_and_cooldowns(self._writes, self._keys, symbols, booked)

    async def durability(self) -> Durability:
        sections = ("persistence", "memory", "stats")
        answers = await self._writes.pipeline([("INFO", section) for section in sections])
        persistence, memory, stats = unrefused([f"INFO {section}" for section in sections], answers)
        return Durability(
            bool(persistence["aof_enabled"]), str(memory["maxmemory_policy"]), int(stats["evicted_keys"])
        )

    async def permit_traces(self, plan_id: PlanId, symbol: Symbol | None) -> PermitTraces:
        return await diagnostics.permit_traces(self._writes, self._keys, plan_id, symbol)


@asynccontextmanager
async def open_redis_store(
    url: str, *, prefix: str, consumer: str, **shadows: bool
) -> AsyncIterator[RedisStore]:
    """Open a store with an asyncio loop of its own; it connects at the first call, not here.

    `shadows`: `governor_shadow` and so on, as `RedisStore` takes them.
    """
    async with open_bridge():
        store = RedisStore(url, keys=Keys(prefix), consumer=consumer, **shadows)
        try:
            yield store
        finally:
            with trio.CancelScope(shield=True), trio.move_on_after(1):
                await store.close()
