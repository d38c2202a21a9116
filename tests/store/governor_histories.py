"""Histories of the Governor's steps, drawn from a seed, and recorded without ids and times."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from random import Random

import msgspec

from brain.governor.grant_window import GrantWindow
from brain.identifiers import EntryId, FencingToken, PlanId, Symbol
from store.errors import FencedError, GroupLostError, StoreRefusedError
from store.governor_records import GovernorCommit, GovernorState, GrantChange
from store.operator_records import Hold
from tests.store.backends import KEYS, Backend, everything
from tests.store.executions import EXECUTOR
from tests.store.governed import (
    DISARM,
    GOVERNOR,
    TRADING_STATE,
    date_of,
    ended,
    free,
    granted,
    refused,
)

_ID = re.compile(r"\d{13}-\d+")
_TIME = re.compile(r"\b\d{13}\b|\b\d{10}(\.\d{3})?\b|\b\d{4}-\d{2}-\d{2}\b")
_SYMBOLS = (Symbol("A"), Symbol("B"))
_PLANS = tuple(PlanId(f"g{number}") for number in range(12))
_EVENT = ("event", "TRADING_STATE", "reason", "drill")


class GovernorHistory:
    """One backend's way through a history. The same seed draws the same steps on every backend."""

    def __init__(self, backend: Backend, seed: int) -> None:
        self._backend = backend
        self._out = backend.outside
        self._random = Random(seed)  # noqa: S311 - not for secrets
        self._stores = (backend.store, backend.another_store("first", governor_shadow=True))
        self._published: list[str] = []
        self._versions = 0
        self._steps: list[Callable[[], Awaitable[object]]] = [
            self._publish, self._read, self._judge, self._judge, self._judge, self._settle, self._settle,
            self._interfere, self._interfere, self._operate, self._hold, self._equity, self._group,
        ]  # fmt: skip

    async def step(self) -> str:
        """Take the next step; what came of it."""
        await self._backend.pass_ms(1)  # so that no two entries of a history have the same id
        if self._out.get(KEYS.lease) is None:
            await self._backend.take_lease()
        act = self._random.choice(self._steps)
        self._store = self._random.choice((self._stores[0], self._stores[0], self._stores[1]))
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

    def _version(self) -> str:
        self._versions += 1
        return f"v{self._versions}"

    async def _publish(self) -> None:
        stream = self._random.choice((KEYS.plans, KEYS.results))
        if self._out.kind(stream) in ("stream", "none"):
            self._published.append(self._out.xadd(stream, {"plan_id": self._random.choice(_PLANS)}))

    async def _read(self) -> object:
        group = self._random.choice((self._store.judged_plans, self._store.settled_results))
        return [entry.id for entry in await group.read_new(count=self._random.randint(1, 3), block_ms=0)]

    async def _group(self) -> None:
        group = self._random.choice((self._store.judged_plans, self._store.settled_results))
        if self._random.random() < 0.3 and self._out.kind(group.stream) == "stream":
            self._out.xgroup_destroy(group.stream, group.group)
        await group.create(lost=self._random.random() < 0.5)

    async def _judge(self) -> object:
        state = await self._store.governor_state(_SYMBOLS)
        made = [self._changed(self._judgement(state)) for _ in range(self._random.randint(1, 3))]
        if self._random.random() < 0.2:
            await self._interfere()
        reply = await self._store.judge_plans(self._fence(), made)
        return self._shown(state), reply.verdicts

    def _shown(self, state: GovernorState) -> object:
        found = [
            (each._replace(window=GrantWindow()), [time_ms - state.now_ms < 0 for time_ms in each.window])
            for each in state.symbols.values()
        ]
        return (
            state.account._replace(reserved=dict(sorted(state.account.reserved.items()))),
            found,
            state.heat,
        )

    def _changed(self, made: GovernorCommit) -> GovernorCommit:
        """Let a judgement rest on a part of its basis, be an observation alone, or know of an earlier one."""
        basis = made.basis
        if basis is not None:
            part = self._random.choice(("", "", "close", "entry", "exit"))
            basis = msgspec.structs.replace(basis, part=part)
        observes = made.granted is None and self._random.random() < 0.3
        return msgspec.structs.replace(
            made,
            basis=basis,
            mark="observed" if observes else made.mark,
            was_observed=self._random.random() < 0.3,
        )

    def _judgement(self, state: GovernorState) -> GovernorCommit:
        plan_id, symbol = self._random.choice(_PLANS), self._random.choice(_SYMBOLS)
        roll, entry_id = self._random.random(), self._entry()
        if roll < 0.15:
            return free(plan_id, entry_id=entry_id)
        common = {"entry_id": entry_id, "version": self._version()}
        if roll < 0.35:
            kind = self._random.choice(("entry", "exit"))
            blocked = ("",) if kind == "exit" and roll < 0.25 else ()
            stats = (kind, str(self._versions), "0.5", "0.25", str(state.now_ms), *blocked)
            disarm = DISARM if self._random.random() < 0.2 else None
            return refused(state, plan_id, symbol, stats=stats, disarm=disarm, **common)
        deadline_ms = state.now_ms + self._random.choice((60_000, 60_000, 60_000, -60_000))
        made = granted(state, plan_id, symbol, deadline_ms=deadline_ms, **common)
        assert made.granted is not None
        close = msgspec.structs.replace(
            made.granted,
            counts=False,
            opened=None,
            reduced="5",
            last_exec_sec=self._random.choice((None, "")),
        )
        return msgspec.structs.replace(made, granted=close) if self._random.random() < 0.3 else made

    async def _settle(self) -> object:
        state = await self._store.governor_state(_SYMBOLS)
        some = [self._change(state) for _ in range(self._random.randint(1, 2))]
        version = state.account.version if self._random.random() < 0.9 else "another"
        after = self._random.choice((self._version(), version))
        return await self._store.change_grants(self._fence(), (version, after), some)

    def _change(self, state: GovernorState) -> GrantChange:
        entry_id = self._random.choice((self._entry(), EntryId("")))
        live = sorted(state.account.reserved.items())
        if not live or self._random.random() < 0.2:
            plan_id = self._random.choice(_PLANS)
            return ended(plan_id, symbol=None, uncount=False, entry_id=entry_id)
        plan_id, text = self._random.choice(live)
        symbol = Symbol("A") if b'"A"' in text else Symbol("B")
        fills = self._random.random() < 0.5
        return ended(
            plan_id, symbol=symbol, entry_id=entry_id,
            reservation=text.decode(errors="replace"), date=date_of(state.now_ms),
            becomes='{"filled":"A"}' if fills else "", uncount=not fills, opened=str(self._versions),
            last_exec_sec=self._random.choice((None, "", "1760000000")),
            only_if_unconsumed=self._random.random() < 0.3, events=(_EVENT,) if fills else (),
        )  # fmt: skip

    async def _equity(self) -> object:
        await self._store.write_equity(self._fence(), {"equity": str(self._random.randint(1, 9)), "day": "d"})
        return await self._store.stored_equity()

    async def _operate(self) -> object:
        view = await self._store.operator_view(None)
        before = self._random.choice((view.switches.trading_state, b"ACTIVE", None))
        wanted = self._random.choice(("ACTIVE", "ACTIVE", "REDUCING", "HALTED"))
        return view.switches, await self._store.set_trading_state(before, wanted, _EVENT)

    async def _hold(self) -> object:
        symbol = self._random.choice(_SYMBOLS)
        hold = (await self._store.operator_view(symbol)).hold
        seen = self._random.choice((hold, hold, Hold(b"1", b"drill", b"operator:ann", None)))
        if seen is None or self._random.random() < 0.5:
            done = await self._store.set_hold(symbol, seen, "drill", "operator:ann", _EVENT)
        else:
            done = await self._store.lift_hold(symbol, seen, _EVENT)
        return hold, done

    async def _interfere(self) -> object:
        plan_id, symbol, out = self._random.choice(_PLANS), self._random.choice(_SYMBOLS), self._out
        date = date_of(await self._backend.store.redis_now_ms())
        key = self._random.choice(
            (
                GOVERNOR.reserved, GOVERNOR.version, GOVERNOR.window(symbol), GOVERNOR.executions(symbol),
                GOVERNOR.kill_stats(symbol), GOVERNOR.plan_mark(plan_id), GOVERNOR.opened(symbol, date),
                GOVERNOR.last_exec(symbol), GOVERNOR.disarm(date), GOVERNOR.permit(plan_id), GOVERNOR.frozen,
                GOVERNOR.guards[1], GOVERNOR.budget(symbol), GOVERNOR.equity, TRADING_STATE, EXECUTOR.kill,
                GOVERNOR.plans.last_id, GOVERNOR.results.last_id,
                KEYS.hold(symbol), EXECUTOR.hold_sig(symbol),
            )
        )  # fmt: skip
        roll = self._random.random()
        if roll < 0.03:
            out.flushall()
        elif roll < 0.65:
            out.delete(key)
        elif roll < 0.8:
            out.set(key, self._random.choice((b"1", b"", b"\xff", b"5-0")))
        elif out.kind(key) in ("hash", "none"):
            out.hset(key, {self._random.choice(("mode", "entry_n", "equity")): b"\xff"})
        return key
