"""Histories of the reconcile engine's steps, drawn from a seed, and recorded without ids and times."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from random import Random

import msgspec

from brain.execution.orders import client_order_id
from brain.identifiers import FencingToken, OrderId, PlanId, Symbol
from brain.ledger.ledger import StoredLedger
from store.errors import FencedError, StoreRefusedError
from store.reconcile_records import (
    Agreement,
    CaseChange,
    CloseProposal,
    ExpectedLedger,
    HoldChange,
    LedgerRepair,
    ReconcileView,
)
from store.records import OrderWrite
from tests.store.backends import KEYS, Backend, everything
from tests.store.commits import booking
from tests.store.executions import EXECUTOR, HOLD
from tests.store.reconciled import ENGINE, NEXT_SIG, SHADOW, SIG, write_hold, write_record

_ID, _TIME = re.compile(r"\d{13}-\d+"), re.compile(r"\d{13}")
_LEFT = re.compile(r"ttl_ms=\d+")
_SYMBOLS = (Symbol("A"), Symbol("B"))
_PLANS = tuple(PlanId(f"p{number}") for number in range(4))
_ORDERS = tuple(OrderId(str(number)) for number in range(5))
_TTL_MS = 300_000
_EVENT = ("event", "HOLD_SET")


class ReconcileHistory:
    """One backend's way through a history. The same seed draws the same steps on every backend."""

    def __init__(self, backend: Backend, seed: int) -> None:
        self._backend = backend
        self._out = backend.outside
        self._random = Random(seed)  # noqa: S311 - not for secrets
        self._stores = (backend.store, backend.another_store("first", reconcile_shadow=True))
        self._store = backend.store
        self._written = 0
        self._own = (self._change, self._repair, self._propose, self._note, self._look)
        self._steps: list[Callable[[], Awaitable[object]]] = [
            *self._own, self._change, self._change, self._repair, self._repair, self._book, self._others,
            self._others, self._interfere,
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
        except (FencedError, StoreRefusedError) as error:
            # Which key is named is the script's word; other steps of the store leave that to Redis.
            outcome = str(error) if act in self._own else type(error).__name__
        return self._anonymous(f"{act.__name__}: {outcome!r}")

    def state(self) -> str:
        """Return all that is stored."""
        held = everything(self._out)
        return self._anonymous(
            repr({k: sorted(v.items()) if isinstance(v, dict) else v for k, v in held.items()})
        )

    def _anonymous(self, text: str) -> str:
        return _LEFT.sub("left", _TIME.sub("T", _ID.sub("#", text)))

    def _fence(self) -> FencingToken:
        stale = self._random.random() < 0.02
        return FencingToken("17:another") if stale else self._backend.fence

    def _symbol(self) -> Symbol:
        return self._random.choice(_SYMBOLS)

    async def _seen(self, symbol: Symbol) -> ReconcileView:
        return (await self._store.reconcile_views([symbol]))[symbol]

    def _owner(self, view: ReconcileView) -> str | None:
        """Return the hold's owner as it was seen, now and then another."""
        seen = None if view.hold is None else (view.hold.sig or b"").decode(errors="replace")
        return self._random.choice((seen, seen, seen, None, SIG))

    async def _change(self) -> object:
        symbol = self._symbol()
        view = await self._seen(symbol)
        sig = self._random.choice((SIG, NEXT_SIG, SIG, ""))
        hold = HoldChange(before=self._owner(view), sig=sig, reason=sig and "drift", ttl_ms=_TTL_MS)
        self._written += 1
        change = CaseChange(
            symbol=symbol,
            hold=self._random.choice((hold, hold, hold, None)),
            state=self._random.choice(((), ("status", "HOLD", "n", str(self._written)))),
            event=self._random.choice(((), _EVENT)),
        )
        return view, await self._store.change_case(self._fence(), change)

    async def _repair(self) -> object:
        symbol = self._symbol()
        view = await self._seen(symbol)
        if self._random.random() < 0.5:
            hold = HoldChange(before=self._owner(view), sig=SIG, reason="drift", ttl_ms=_TTL_MS)
            await self._store.change_case(self._fence(), CaseChange(symbol=symbol, hold=hold))
        orders = self._random.sample(_ORDERS, self._random.randint(0, 2))
        booked = await self._store.booked_growth(symbol, orders, [])
        self._written += 1
        repair = LedgerRepair(
            symbol=symbol,
            before=view.ledger if self._random.random() < 0.9 else StoredLedger("7"),
            before_version=view.version,
            ledger_fields=self._random.choice(
                ((), ("last_known_amt", str(self._written), "version", str(self._written)))
            ),
            ledger_ttl_ms=86_400_000,
            orders=[OrderWrite(each, booked.memories.get(each), f"{self._written}|1") for each in orders],
            hold=HoldChange(
                before=self._random.choice((SIG, SIG, NEXT_SIG)),
                sig=self._random.choice(("", "", NEXT_SIG)),
                reason="rest",
                ttl_ms=_TTL_MS,
            ),
            state=("status", "REPAIRED"),
            events=(("event", "AUTO_REPAIR"), ("event", "ORPHAN_ORDER"))[: self._random.randint(0, 2)],
        )
        if self._random.random() < 0.2:
            await self._interfere()
        return booked, await self._store.repair_ledger(self._fence(), repair)

    async def _propose(self) -> object:
        proposal = CloseProposal(
            symbol=self._symbol(),
            plan_id=PlanId("reconclose"),
            stream=self._random.choice((ENGINE.plans, ENGINE.closes)),
            bucket=self._random.randint(1, 3),
            cooldown_sec=120,
            sig=self._random.choice((SIG, NEXT_SIG)),
            # As long as any other hold: which of them still ends with its owner must not hang on the speed.
            hold_ttl_ms=_TTL_MS,
            plan=("plan_id", "reconclose"),
            event=self._random.choice(((), _EVENT)),
            client_order_id=client_order_id("q", _PLANS[0]),
        )
        return await self._store.propose_close(self._fence(), proposal)

    async def _note(self) -> None:
        self._written += 1
        noted = [
            Agreement(symbol, self._written, str(self._written), "0|1|-1", "0|2|-2") for symbol in _SYMBOLS
        ]
        await self._store.note_agreements(self._fence(), noted)

    async def _look(self) -> object:
        amount, leg = self._random.choice(("0", "1", "0.5")), self._random.choice((None, "0", "1"))
        clients = [client_order_id("q", plan_id) for plan_id in _PLANS]
        return (
            await self._store.differing_ledgers(
                [ExpectedLedger(each, amount, leg, leg) for each in _SYMBOLS]
            ),
            await self._store.own_holds(_SYMBOLS),
            await self._store.reconcile_views(_SYMBOLS),
            await self._store.booked_growth(self._symbol(), _ORDERS, clients),
        )

    async def _book(self) -> object:
        """Book a result as the ledger writer does: it writes the same keys."""
        symbol, order_id = self._symbol(), self._random.choice(_ORDERS)
        state = await self._store.booking_state(symbol, _PLANS[0], [order_id])
        ledger = state.ledger
        commit = booking(
            "1-0", symbol=symbol, plan_id=_PLANS[0], mark_before=state.plan_mark, mark_after="",
            before_amounts=(ledger.last_known_amt, ledger.long_amt, ledger.short_amt),
            before_version=state.version, permit_before=state.permit, acknowledge=False,
            orders=(OrderWrite(order_id, state.orders.get(order_id), "1|1"),),
        )  # fmt: skip
        return await self._store.commit_result(self._fence(), commit) is not None

    async def _others(self) -> object:
        """Hold a symbol, or let its hold end, as operators, the executor and other services do."""
        symbol, plan_id, roll = self._symbol(), self._random.choice(_PLANS), self._random.random()
        client = client_order_id("q", plan_id)
        if roll < 0.2:
            write_hold(self._out, symbol, self._random.choice(("operator:ann", SIG)), ttl_ms=None)
        elif roll < 0.3:
            write_hold(self._out, symbol, None, value=self._random.choice(("1", "manual")), ttl_ms=None)
        elif roll < 0.5:
            self._out.delete(EXECUTOR.order(plan_id))
            return write_record(self._out, plan_id, self._random.choice(("final", "orphan", "unknown")))
        elif roll < 0.7:
            hold = msgspec.structs.replace(HOLD, symbol=symbol, plan_id=plan_id, client_order_id=client)
            return await self._store.hold_symbol(self._fence(), hold)
        elif roll < 0.8:
            return await self._store.release_hold(self._fence(), symbol, client)
        else:
            self._out.delete(KEYS.hold(symbol))
        return roll

    async def _interfere(self) -> object:
        symbol, plan_id, out = self._symbol(), self._random.choice(_PLANS), self._out
        engine = self._random.choice((ENGINE, SHADOW))
        key = self._random.choice(
            (
                KEYS.ledger(symbol), KEYS.order_memory(symbol), KEYS.order_times(symbol),
                KEYS.open_permits(symbol), engine.state(symbol), engine.hold(symbol), engine.hold_sig(symbol),
                engine.hold_reason(symbol), engine.close_out(symbol), engine.events, EXECUTOR.order(plan_id),
                EXECUTOR.plan_of(client_order_id("q", plan_id)), KEYS.plans,
            )
        )  # fmt: skip
        roll = self._random.random()
        if roll < 0.03:
            out.flushall()
        elif roll < 0.65:
            out.delete(key)
        elif roll < 0.75:
            out.set(key, self._random.choice((b"1", b"", b"\xff")))
        elif out.kind(key) in ("hash", "none"):
            name = self._random.choice(
                ("last_known_amt", "long_amt", "version", "status", "agreed_ms", "p:x")
            )
            out.hset(key, {name: self._random.choice((b"0", b"0.5", b"\xff", b"5"))})
        return key
