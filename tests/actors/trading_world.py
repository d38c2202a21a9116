"""Evaluator and ledger writer together on virtual time, and what must hold at every moment.

Everything is drawn from one seed: what the book lags behind, what breaks, and in `trading_neighbours` the
plans and what becomes of them.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from decimal import Decimal
from random import Random
from typing import Any

import msgspec
import trio

from brain.decisions.case import Rules
from brain.numbers import plain
from brain.positions.position import Snapshot, VerifiedBy
from channels import BookEntry, Lease, SnapshotChanged
from store.keys import GROUP
from store.memory.faults import Effect
from store.memory.store import MemoryStore
from supervision import Heartbeat
from tests.actors.evaluator_rig import SYMBOLS, Watched, evaluator_beside
from tests.actors.ledger_rig import LedgerRig

#: Times so short that permits expire and orders outlive them within one run. As in service, an order is
#: sent early enough within the grace for the book to show it before the grace ends.
RULES = Rules(
    stale_threshold_sec=2,
    cooldown_sec=0.3,
    qty_tolerance_pct=Decimal("1.0"),
    plan_max_age_sec=5,
    decision_ttl_sec=3600,
    permit_ttl_sec=3,
    execution_grace_sec=7,
)
_EFFECTS: tuple[Effect, ...] = ("before", "after")
_CRASH_PAUSE_SEC = 3.0
#: So long after an adoption, results are booked without asking when their orders were filled.
_AFTER_ADOPTION_SEC = 61.0
_FAULTY_METHODS = (
    None, "commit_decisions", "commit_results", "plans.read_new", "results.read_new", "booking_states",
    "plans.recover",
)  # fmt: skip


class Grant(msgspec.Struct):
    """An ALLOW, and what its consumer makes of it. `left` is what may still be executed for it."""

    plan_id: str
    symbol: str
    closes: bool
    quantity: Decimal
    order_side: str
    left: Decimal
    taken: bool = False


class TradingWorld:
    """The actors, the faults, and the invariants, checked around every call of the store."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)  # noqa: S311 - the same world for the same seed
        self.ledgers = LedgerRig()
        self.ledgers.reservation_life_sec = RULES.permit_ttl_sec + RULES.execution_grace_sec
        self.clock, self.redis, self.keys = self.ledgers.clock, self.ledgers.redis, self.ledgers.keys
        self.exchange = self.ledgers.exchange
        self.store = Watched(self.redis, keys=self.keys, consumer="me", crossing=self._cross)
        self.permits = evaluator_beside(self.ledgers, self.store, rules=RULES)
        self._calm_store = MemoryStore(self.redis, keys=self.keys, consumer="me")
        self.before = {symbol: Decimal(self.random.choice((0, 0, 1, -2))) for symbol in SYMBOLS}
        for symbol, amount in self.before.items():
            self.exchange.set(symbol, plain(amount), update_time_ms=self.exchange.now_ms() - 1)
        self.published: dict[str, dict[str, str]] = {}
        self.skipped: set[str] = set()
        self.decided: dict[str, bool] = {}
        self.grants: dict[str, Grant] = {}
        self.filled = {symbol: Decimal(0) for symbol in SYMBOLS}
        self.reasons: set[str] = set()
        self.crashes = 0
        self._audited = 0
        self._frozen_until_sec = dict.fromkeys(SYMBOLS, 0.0)
        self._shown_at_sec = dict.fromkeys(SYMBOLS, -1.0)
        self._crashed_at_sec = {"writer": 0.0, "evaluator": 0.0}
        self._incarnations: dict[str, trio.CancelScope] = {}

    # What must hold at every moment.

    async def _cross(self) -> None:
        """The way to Redis and back takes its time; whatever was written meanwhile is looked at first."""
        self.check()
        await trio.sleep(self.random.choice((0.0, 0.001, 0.004, 0.02)))

    def check(self) -> None:
        """The invariants. Raises AssertionError."""
        self._take_in_decisions()
        for symbol in SYMBOLS:
            amount = self.exchange.rows[symbol][0]
            closing = [g for g in self.grants.values() if g.symbol == symbol and g.closes and self._lives(g)]
            total = sum((grant.left for grant in closing), Decimal(0))
            assert total <= abs(amount), f"{symbol}: {closing} may still close more than {amount}"
            for grant in closing:
                assert (grant.order_side == "SELL") is (amount > 0), f"{grant} opens against {amount}"
        for grant in self.grants.values():
            if grant.taken:
                assert self.redis.get(self.keys.permit(grant.plan_id)) is None, f"{grant} allowed again"

    def _lives(self, grant: Grant) -> bool:
        return grant.left > 0 and (grant.taken or self.redis.get(self.keys.permit(grant.plan_id)) is not None)

    def _take_in_decisions(self) -> None:
        if self.redis.xlen(self.keys.audit) == self._audited:
            return
        decided = self.redis.xrange(self.keys.audit)[self._audited :]
        self._audited += len(decided)
        for _, fields in decided:
            plan_id, symbol = fields[b"plan_id"].decode(), fields[b"symbol"].decode()
            assert plan_id not in self.decided, f"{plan_id} was decided twice"
            self.decided[plan_id] = allowed = fields[b"allow"] == b"true"
            self.reasons.add(fields[b"reason"].decode())
            if allowed:
                permit = json.loads(fields[b"record"], parse_float=Decimal)["permit"]
                self._take_in_grant(symbol, permit)

    def _take_in_grant(self, symbol: str, permit: dict[str, Any]) -> None:
        closes = permit["kind"] == "close"
        quantity = Decimal(permit["safe_close_qty"] if closes else permit["plan_qty"])
        self.grants[permit["plan_id"]] = Grant(
            permit["plan_id"], symbol, closes, quantity, permit["order_side"], quantity
        )
        if closes:
            reserved = self._reserved_closes(symbol)
            assert quantity <= reserved <= abs(Decimal(permit["exchange_position_amt"])), (
                f"{symbol}: {reserved} open after {permit}"
            )

    def _reserved_closes(self, symbol: str) -> Decimal:
        total = Decimal(0)
        for name, value in self.redis.hgetall(self.keys.open_permits(symbol)).items():
            if name.startswith(b"p:"):
                _, kind, _, remaining, expires_ms = value.decode().split("|")
                if kind == "close" and int(expires_ms) > self.redis.now_ms():
                    total += Decimal(remaining)
        return total

    # The actors, and what befalls them.

    async def live(self, nursery: trio.Nursery) -> None:
        """Start the actors and the book; answers once the first ledgers are there."""
        await self.renew_lease()
        nursery.start_soon(self._show_positions)
        nursery.start_soon(self._incarnate, "writer", lambda hb: self.ledgers.writer().run(hb))
        nursery.start_soon(self._incarnate, "evaluator", lambda hb: self.permits.evaluator().run(hb))
        await self.ledgers.ledgers_adopted.get()
        await trio.sleep(self.random.choice((1.0, _AFTER_ADOPTION_SEC)))

    async def renew_lease(self) -> None:
        """The lease is lost, and comes back with another token."""
        self.redis.delete(self.keys.lease)
        reply = await self._calm_store.hold_lease("me", None, 3_600_000)
        self.ledgers.lease.send(Lease(reply.fence, "me"))

    async def _incarnate(self, name: str, run: Callable[[Heartbeat], Awaitable[None]]) -> None:
        while True:
            with trio.CancelScope() as self._incarnations[name]:
                await run(Heartbeat())
            self.crashes += 1
            await trio.sleep(0.05)

    async def break_things(self) -> None:
        """Until cancelled: lose requests, answers, actors, the lease, Redis, holds and the exchange."""
        random = self.random
        while True:
            await trio.sleep(random.expovariate(2))
            match random.randrange(9):
                case 0 | 1 | 8:
                    when = random.choice(_EFFECTS)
                    method = random.choice(_FAULTY_METHODS)
                    self.store.faults.fail_next(when, method=method, count=random.randint(1, 2))
                case 2 | 3:
                    self._crash(random.choice(("writer", "evaluator")))
                case 4:
                    with self.store.faults.outage(random.choice(_EFFECTS)):
                        await trio.sleep(random.uniform(0.05, 1.0))
                case 5:
                    await self.renew_lease()
                case 6:
                    symbol = random.choice(SYMBOLS)
                    self.redis.set(self.keys.hold(symbol), "1", ttl_ms=random.randint(50, 800))
                case 7:
                    symbol = random.choice(SYMBOLS)
                    self._frozen_until_sec[symbol] = trio.current_time() + random.uniform(0.1, 3)

    def _crash(self, name: str) -> None:
        """Not so often that an entry is in hand in three crashes: it would become a dead letter."""
        if trio.current_time() - self._crashed_at_sec[name] > _CRASH_PAUSE_SEC:
            self._crashed_at_sec[name] = trio.current_time()
            self._incarnations[name].cancel()

    # The book: honest, late, and at times stuck.

    async def _show_positions(self) -> None:
        async with trio.open_nursery() as nursery:
            while True:
                for symbol in SYMBOLS:
                    nursery.start_soon(self._show, symbol, self.random.uniform(0, 0.4))
                await trio.sleep(0.25)

    async def _show(self, symbol: str, delay_sec: float) -> None:
        """What is true now reaches the book after `delay_sec`, as of now."""
        seen, row = self.clock.now(), self.exchange.row(symbol)
        await trio.sleep(delay_sec)
        stuck = trio.current_time() < self._frozen_until_sec[symbol]
        if stuck or seen.monotonic_sec < self._shown_at_sec[symbol]:
            return
        self._shown_at_sec[symbol] = seen.monotonic_sec
        snapshot = Snapshot(
            symbol, (row.position,), row.leverage, row.mark_price, row.mark_ts_ms, seen, VerifiedBy.STREAM
        )
        self.ledgers.book.publish(0, BookEntry(snapshot, None))
        self.ledgers.changes.send(SnapshotChanged(snapshot))

    def pending(self) -> int:
        """Entries of both streams that are not acknowledged."""
        return sum(len(self.redis.xpending(key, GROUP)) for key in (self.keys.plans, self.keys.results))
