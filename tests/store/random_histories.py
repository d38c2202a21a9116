"""Histories drawn from a seed, run on any backend, and recorded without ids and times."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from random import Random

import msgspec

from actors.ledger_writer.projected_state import ProjectedState
from brain.identifiers import EntryId, FencingToken, OrderId, PlanId, Symbol
from store.errors import FencedError, GroupLostError, StoreRefusedError
from store.records import (
    Adoption,
    BookingKeys,
    BookingState,
    Broken,
    Changed,
    CommitReply,
    MarkWrite,
    OrderWrite,
    ResultCommit,
    SymbolState,
)
from tests.store.backends import KEYS, Backend, everything
from tests.store.commits import assumed, booking, decision
from tests.store.test_lease import TIMES
from tests.store.test_snapshots import snapshot

_ID = re.compile(r"\d{13}-\d+")
_RUN = re.compile(r"[0-9a-f]{40}")
_TIME = re.compile(r"\d{13}")
_SYMBOLS = ("A", "B")
_PLANS = ("p1", "p2", "p3", "p4")
_WRITTEN_MS = (1000, 1_760_000_002_345)
_AMOUNTS = (b"0", b"0.5", b"-1e3", b"nan", b"", b"\xff", b"0x1")


class History:
    """One backend's way through a history. The same seed draws the same steps on every backend."""

    def __init__(self, backend: Backend, seed: int) -> None:
        self._backend = backend
        self._store = backend.store
        self._out = backend.outside
        self._keys = KEYS
        self._random = Random(seed)  # noqa: S311 - not for secrets
        self._fence = FencingToken("none")
        self._published: dict[str, list[str]] = {"plans": [], "results": []}
        self._states = {symbol: SymbolState() for symbol in _SYMBOLS}
        self._steps: list[Callable[[], Awaitable[object]]] = [
            self._publish, self._publish, self._read, self._read, self._recover, self._recover,
            self._decide, self._decide, self._decide, self._book, self._book, self._book_together,
            self._acknowledge, self._bury, self._lease, self._ledgers, self._snapshots,
            self._interfere, self._interfere, self._group, self._report,
        ]  # fmt: skip

    async def step(self) -> str:
        """Take the next step; what came of it."""
        await self._backend.pass_ms(1)  # so that no two entries of a history have the same id
        act = self._random.choice(self._steps) if self._fence != "none" else self._lease
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
        ids = self._published["plans"] + self._published["results"]

        def name(found: re.Match[str]) -> str:
            return f"#{ids.index(found[0])}" if found[0] in ids else "#"

        return _TIME.sub("T", _ID.sub(name, _RUN.sub("run", text)))

    def _pick(self, *of: str) -> str:
        return self._random.choice(of)

    def _entry(self, stream: str) -> str:
        ids = self._published[stream]
        return self._random.choice(ids[-6:]) if ids else "1-0"

    async def _publish(self) -> None:
        stream, plan_id = self._pick("plans", "results"), self._pick(*_PLANS)
        key = self._keys.plans if stream == "plans" else self._keys.results
        if self._out.kind(key) not in ("stream", "none"):
            self._out.delete(key)
        self._published[stream].append(self._out.xadd(key, {"plan_id": plan_id}))

    async def _read(self) -> object:
        count = self._random.randint(1, 3)
        read = self._random.choice((self._store.plans.read_new, self._store.results.read_new))
        return await read(count=count, block_ms=0)

    async def _recover(self) -> object:
        plans = self._random.random() < 0.5
        after = "0" if self._random.random() < 0.5 else self._entry("plans" if plans else "results")
        recover = self._store.plans.recover if plans else self._store.results.recover
        return await recover(fence=self._fence, after=after, idle_ms=0, count=self._random.randint(1, 4))

    async def _decide(self) -> object:
        commits = []
        for _ in range(self._random.randint(1, 3)):
            symbol, plan_id = self._pick(*_SYMBOLS), self._pick(*_PLANS)
            state, ledger = self._states[symbol], self._states[symbol].ledger
            informed = assumed(
                hold=state.hold, cooldown=state.cooldown, last_known_amt=ledger.last_known_amt,
                last_order_id=ledger.last_order_id, last_order_time_epoch=ledger.last_order_time_epoch,
                long_amt=ledger.long_amt, short_amt=ledger.short_amt,
                permits_version=state.permits_version, live_permits=len(state.permits),
                settled=state.settled,
            )  # fmt: skip
            commits.append(
                decision(
                    plan_id,
                    self._entry("plans"),
                    symbol=symbol,
                    assumed=informed if self._random.random() < 0.9 else None,
                    deadline_ms=self._random.choice((0, 0, 0, 1)),
                    reservation=self._pick("BOTH|close|SELL|0.1", "LONG|close|SELL|1", ""),
                )
            )
        reply: CommitReply = await self._store.commit_decisions(self._fence, commits)
        for commit, verdict in zip(commits, reply.verdicts, strict=True):
            if isinstance(verdict, Changed):
                self._states[commit.symbol] = verdict.state
        return [Broken("") if isinstance(verdict, Broken) else verdict for verdict in reply.verdicts]

    async def _book(self) -> object:
        state, commit = await self._planned(ProjectedState())
        return state, await self._store.commit_result(self._fence, commit) is not None

    async def _book_together(self) -> object:
        projected = ProjectedState()
        planned = [await self._planned(projected) for _ in range(self._random.randint(2, 5))]
        times = await self._store.commit_results(self._fence, [commit for _, commit in planned])
        return [state for state, _ in planned], [time is not None for time in times]

    async def _planned(self, projected: ProjectedState) -> tuple[BookingState, ResultCommit]:
        """Plan a booking on what is stored and on what others will have written."""
        symbol, plan_id = self._pick(*_SYMBOLS), self._pick(*_PLANS)
        order_id = OrderId(self._pick("1", "2"))
        keys = BookingKeys(Symbol(symbol), PlanId(plan_id), (order_id,))
        state = projected.state(keys, await self._store.booking_state(*keys))
        ledger = state.ledger
        commit = booking(
            self._entry("results"),
            symbol=symbol,
            plan_id=plan_id,
            before_amounts=(ledger.last_known_amt, ledger.long_amt, ledger.short_amt),
            before_version=state.version,
            orders=(OrderWrite(order_id, state.orders.get(order_id), self._pick("1|1", "2|2")),),
            permit_before=state.permit,
            permit_after=self._random.choice((None, "", "BOTH|close|SELL|0.05|9999999999999"))
            if state.permit
            else None,
            mark_before=state.plan_mark,
            mark_after="" if state.plan_mark else "S",
            revoke_permit=self._random.random() < 0.3,
            event_fields=self._random.choice(((), ("event", "x"))),
            only_if_unconsumed=self._random.random() < 0.5,
            unknown_after=self._random.choice(
                (None, "", f"9999999999999|1|||{symbol}", f"1000|1|||{symbol}")
            ),
            acknowledge=self._random.random() < 0.8,
        )
        if self._random.random() < 0.2:
            commit = msgspec.structs.replace(commit, mark_before="D|BOTH|none||0")
        projected.add(commit, state)
        return state, commit

    async def _acknowledge(self) -> None:
        await self._store.plans.acknowledge(self._fence, [EntryId(self._entry("plans"))])

    async def _bury(self) -> None:
        await self._store.plans.dead_letter(self._fence, EntryId(self._entry("plans")), ("error", "x"))

    async def _lease(self) -> object:
        taker, ours = self._pick("first", "first", "first", "second"), self._random.random() < 0.5
        process = self._pick("", "a/1/0", "b/2/0")
        reply = await self._store.hold_lease(taker, self._fence if ours else None, 600_000, process=process)
        if reply.held:
            self._fence = reply.fence
        elif self._random.random() < 0.5:
            await self._store.release_lease(reply.fence)
        return reply

    async def _ledgers(self) -> object:
        symbol = self._pick(*_SYMBOLS)
        if self._random.random() < 0.5:
            await self._store.renew_ledgers(self._fence, _SYMBOLS, 600_000)
            return await self._store.ledger_amounts(_SYMBOLS)
        adoption = Adoption(symbol, ("last_known_amt", "1", "version", "1"), ("event", "adopted"))
        return await self._store.adopt_ledgers(self._fence, [adoption], 600_000)

    async def _snapshots(self) -> object:
        symbol, roll = self._pick(*_SYMBOLS), self._random.random()
        if roll < 0.4:
            await self._store.write_snapshots(self._fence, [snapshot(symbol, "1")])
        elif roll < 0.6:
            await self._store.write_marks(self._fence, [MarkWrite(symbol, "1", "2", "3")])
        return await self._store.prove_snapshots(
            self._fence,
            dict.fromkeys(_SYMBOLS, self._random.choice(_WRITTEN_MS)),
            times=TIMES,
            verified_by="stream",
            ttl_sec=600,
            marks={symbol: MarkWrite(symbol, "4", self._random.choice(("", "5")), "6")},
        )

    async def _interfere(self) -> object:
        keys, out, symbol, plan_id = self._keys, self._out, self._pick(*_SYMBOLS), self._pick(*_PLANS)
        amount, roll = self._random.choice(_AMOUNTS), self._random.random()
        key = self._pick(
            keys.hold(symbol), keys.cooldown(symbol), keys.ledger(symbol), keys.snapshot(symbol),
            keys.open_permits(symbol), keys.order_memory(symbol), keys.plan_mark(plan_id),
            keys.permit(plan_id), keys.audit, keys.events, keys.dead_plans, keys.last_result_id,
        )  # fmt: skip
        if roll < 0.05:
            out.flushall()
        elif roll < 0.15:
            stream = self._pick("plans", "results")
            if out.kind(getattr(keys, stream)) == "stream":
                out.xdel(getattr(keys, stream), self._entry(stream))
        elif roll < 0.5:
            out.delete(key)
        elif roll < 0.6:
            out.set(key, amount)
        elif roll < 0.7:
            out.delete(key)
            out.hset(key, {"a": amount})
        elif roll < 0.8:
            out.delete(keys.ledger(symbol))
            field = self._pick("last_known_amt", "last_order_id", "long_amt", "version")
            out.hset(keys.ledger(symbol), {"last_known_amt": amount, field: amount})
        elif roll < 0.9:
            out.set(keys.cooldown(symbol), amount)
        elif out.kind(keys.open_permits(symbol)) in ("hash", "none"):
            value = self._pick("BOTH|close|SELL|1|1000", "LONG|close|SELL|1|9999999999999", "junk")
            out.hset(keys.open_permits(symbol), {f"p:{plan_id}": value})
        return key

    async def _group(self) -> None:
        create = self._random.choice((self._store.plans.create, self._store.results.create))
        await create(lost=self._random.random() < 0.5)

    async def _report(self) -> object:
        run = await self._store.redis_run(None)
        permits = await self._store.open_permits(_SYMBOLS)
        held = await self._store.holds_and_cooldowns(_SYMBOLS, ())
        return (
            run.changed_ms,
            await self._store.universe(),
            await self._store.remembered_ban(),
            [(symbol, state.permits_version, sorted(state.permits)) for symbol, state in permits.items()],
            [hold.symbol for hold in held.holds],
            held.executions,
            sorted(held.hold_kinds.items()),
            sorted(held.cooldown_kinds.items()),
        )
