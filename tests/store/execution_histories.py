"""Histories of the executor's steps, drawn from a seed, and recorded without ids and times."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from decimal import Decimal
from random import Random

import msgspec

from brain.execution.orders import client_order_id
from brain.execution.record import OrderPhase, OrderRecord
from brain.identifiers import EntryId, FencingToken, PlanId, Symbol
from store.errors import FencedError, GroupLostError, StoreRefusedError
from store.execution_records import OrderProgress
from tests.store.backends import KEYS, Backend, everything
from tests.store.executions import EVENT, EXECUTOR, GRANT, HOLD, RECORD, RESULT, begin, refusal

_ID, _TIME = re.compile(r"\d{13}-\d+"), re.compile(r"\d{13}")
_SYMBOLS = (Symbol("A"), Symbol("B"))
_PLANS = tuple(PlanId(f"p{number}") for number in range(9))


class ExecutionHistory:
    """One backend's way through a history. The same seed draws the same steps on every backend."""

    def __init__(self, backend: Backend, seed: int) -> None:
        self._backend = backend
        self._store = backend.store
        self._out = backend.outside
        self._random = Random(seed)  # noqa: S311 - not for secrets
        self._published: list[str] = []
        self._steps: list[Callable[[], Awaitable[object]]] = [
            self._publish, self._publish, self._read, self._permit, self._permit, self._begin, self._begin,
            self._progress, self._progress, self._refuse, self._hold, self._release, self._orphan,
            self._interfere, self._group, self._dry_run, self._report,
        ]  # fmt: skip

    async def step(self) -> str:
        """Take the next step; what came of it."""
        await self._backend.pass_ms(1)  # so that no two entries of a history have the same id
        if self._out.get(KEYS.lease) is None:
            await self._backend.take_lease()
        act = self._random.choice(self._steps)
        try:
            outcome = await act()
        except (FencedError, GroupLostError, StoreRefusedError) as error:
            outcome = type(error).__name__
        return self._anonymous(f"{act.__name__}: {outcome!r}")

    def state(self) -> str:
        """Return all that is stored."""
        held = everything(self._out)
        return self._anonymous(
            repr({k: sorted(v.items()) if isinstance(v, dict) else v for k, v in held.items()})
        )

    def _anonymous(self, text: str) -> str:
        def name(found: re.Match[str]) -> str:
            return f"#{self._published.index(found[0])}" if found[0] in self._published else "#"

        return _TIME.sub("T", _ID.sub(name, text))

    def _fence(self) -> FencingToken:
        stale = self._random.random() < 0.02
        return FencingToken("17:another") if stale else self._backend.fence

    def _entry(self) -> EntryId:
        return EntryId(self._random.choice(self._published[-6:]) if self._published else "1-0")

    def _plan(self) -> PlanId:
        return self._random.choice(_PLANS)

    def _first(self, plan_id: PlanId) -> OrderRecord:
        return msgspec.structs.replace(
            RECORD, plan_id=plan_id, client_order_id=client_order_id("q", plan_id), entry_id=self._entry(),
            symbol=_SYMBOLS[int(plan_id[1]) % 2], timestamp_ms=int(plan_id[1]),
        )  # fmt: skip

    async def _publish(self) -> None:
        if self._out.kind(KEYS.plans) in ("stream", "none"):
            self._published.append(self._out.xadd(KEYS.plans, {"plan_id": self._plan()}))

    async def _read(self) -> object:
        group = self._random.choice((self._store.executions, self._store.dry_runs))
        return [entry.id for entry in await group.read_new(count=self._random.randint(1, 3), block_ms=0)]

    async def _permit(self) -> None:
        self._out.set(f"q:permit:{self._plan()}", self._random.choice((GRANT, GRANT, b"\xff")))

    async def _begin(self) -> object:
        plan_id = self._plan()
        key = f"q:permit:{plan_id}"
        if self._random.random() < 0.6:
            self._out.set(key, GRANT)
        now_ms = await self._store.redis_now_ms()
        begun = await begin(
            self._backend,
            record=self._first(plan_id),
            permits=((key, GRANT, self._random.choice((None, now_ms))),),
            ignores_hold=self._random.random() < 0.5,
            deadline_ms=now_ms + self._random.choice((60_000, 60_000, 60_000, -60_000)),
            audit=self._random.choice(((), ("step", "begin"))),
        )
        look = await self._store.look_at_permits(plan_id, begun.record.symbol, [key])
        if self._random.random() < 0.8:
            begun = msgspec.structs.replace(begun, switches=look.switches)
        return look, (await self._store.begin_order(self._fence(), begun)).verdict

    async def _progress(self) -> object:
        found = await self._store.open_orders()
        if not found.records:
            return found
        before = self._random.choice(found.records)
        phase = self._random.choice((OrderPhase.UNKNOWN, OrderPhase.WORKING, OrderPhase.FINAL))
        after = msgspec.structs.replace(
            before, phase=phase, version=before.version + self._random.choice((0, 1, 1, 1, 2)),
            cumulative=before.cumulative + Decimal("0.1"),
        )  # fmt: skip
        due = self._random.random() < 0.6
        progress = OrderProgress(record=after, result=RESULT if due else (), cooldown_ms=1 if due else None)
        return found, await self._store.record_progress(self._fence(), progress)

    async def _refuse(self) -> object:
        ended = refusal(plan_id=self._plan(), entry_id=self._entry())
        return await self._store.refuse_plan(self._fence(), ended)

    async def _hold(self) -> object:
        plan_id, symbol = self._plan(), self._random.choice(_SYMBOLS)
        hold = msgspec.structs.replace(
            HOLD, plan_id=plan_id, symbol=symbol, client_order_id=client_order_id("q", plan_id)
        )
        return await self._store.hold_symbol(self._fence(), hold)

    async def _release(self) -> object:
        client = client_order_id("q", self._plan())
        return await self._store.release_hold(self._fence(), self._random.choice(_SYMBOLS), client)

    async def _orphan(self) -> object:
        first = self._first(self._plan())
        orphan = msgspec.structs.replace(
            first, plan_id=PlanId(first.client_order_id), phase=OrderPhase.ORPHAN, stream="", entry_id=""
        )
        hold = msgspec.structs.replace(
            HOLD, plan_id=orphan.plan_id, symbol=orphan.symbol, client_order_id=orphan.client_order_id
        )
        holds = hold if self._random.random() < 0.7 else None
        return await self._store.record_orphan(self._fence(), orphan, EVENT, holds)

    async def _dry_run(self) -> None:
        fields = ("plan_id", self._plan())
        await self._store.publish_dry_run(self._fence(), KEYS.plans, self._entry(), fields)
        await self._store.write_counts(self._fence(), {"processed": 1})

    async def _group(self) -> None:
        if self._random.random() < 0.3 and self._out.kind(KEYS.plans) == "stream":
            self._out.xgroup_destroy(KEYS.plans, EXECUTOR.plans.group)
        group = self._random.choice((self._store.executions, self._store.dry_runs))
        await group.create(lost=self._random.random() < 0.5)

    async def _interfere(self) -> object:
        plan_id, symbol, out = self._plan(), self._random.choice(_SYMBOLS), self._out
        key = self._random.choice(
            (
                EXECUTOR.order(plan_id), EXECUTOR.open, EXECUTOR.plan_of(client_order_id("q", plan_id)),
                EXECUTOR.kill, EXECUTOR.lockdown, EXECUTOR.counts, EXECUTOR.plans.last_id, KEYS.hold(symbol),
                EXECUTOR.hold_sig(symbol), KEYS.open_permits(symbol), KEYS.permit_consumer(plan_id),
                KEYS.cooldown(symbol), KEYS.results,
            )
        )  # fmt: skip
        roll = self._random.random()
        if roll < 0.03:
            out.flushall()
        elif roll < 0.6:
            out.delete(key)
        elif roll < 0.7:
            out.set(key, self._random.choice((b"1", b"", b"\xff", b"5-0")))
        elif out.kind(key) in ("hash", "none"):
            value = self._random.choice((b"BOTH|open|BUY|1|1000", b"junk", b"7"))
            out.hset(key, {self._random.choice((f"p:{plan_id}", "version", "processed", "state")): value})
        return key

    async def _report(self) -> object:
        plan_id = self._plan()
        found = await self._store.open_orders()
        try:
            kept: object = await self._store.order_record(plan_id)
        except StoreRefusedError as error:
            kept = str(error).partition("WRONGTYPE")[0]
        return found.records, [(each.plan_id, each.symbol) for each in found.unreadable], kept
