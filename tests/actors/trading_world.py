"""Evaluator and ledger writer together on virtual time, beside an exchange and consumers that trade.

Everything is drawn from one seed: plans, how their consumers behave, what the book lags behind, and what
breaks. `check` runs around every call of the store and after every fill.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from decimal import Decimal
from random import Random
from typing import Any

import msgspec
import trio

from brain.case import Rules
from brain.numbers import plain
from brain.position import Snapshot, VerifiedBy
from channels import BookEntry, Lease, SnapshotChanged
from store.keys import GROUP
from store.memory.faults import Effect
from store.memory_store import MemoryStore
from supervision import Heartbeat
from tests.actors.evaluator_rig import SYMBOLS, EvaluatorRig, Watched
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
_EXECUTION_SEC = 3.0
_EFFECTS: tuple[Effect, ...] = ("before", "after")
_CRASH_PAUSE_SEC = 3.0
#: So long after an adoption, results are booked without asking when their orders were filled.
_ADOPTION_SETTLES_SEC = 61.0
_FAULTY_METHODS = (
    None, "commit_decisions", "commit_result", "new_plans", "new_results", "booking_state", "recover_plan",
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
    """The actors, all their neighbours, and the invariants."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)  # noqa: S311 - the same world for the same seed
        self.ledgers = LedgerRig()
        self.permits = EvaluatorRig(on_demand=False, rules=RULES)
        self.clock, self.redis, self.keys = self.ledgers.clock, self.ledgers.redis, self.ledgers.keys
        self.exchange = self.ledgers.exchange
        self.store = Watched(self.redis, keys=self.keys, consumer="me", crossing=self._cross)
        self.ledgers.store = self.permits.store = self.store
        self._calm_store = MemoryStore(self.redis, keys=self.keys, consumer="me")
        for name in ("clock", "redis", "book", "hedge_mode", "lease", "ledgers_adopted"):
            setattr(self.permits, name, getattr(self.ledgers, name))
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
        await trio.sleep(self.random.choice((1.0, _ADOPTION_SETTLES_SEC)))

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
        """Not so often that an entry is in hand in three crashes: what does that is poison, and set aside."""
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

    # Publishers and consumers.

    async def trade(self, count: int) -> None:
        """Publish `count` plans, some of them again, and consume what comes of them, to the end."""
        random = self.random
        async with trio.open_nursery() as consumers:
            for number in range(count):
                await trio.sleep(random.expovariate(5))
                plan_id, fields = f"plan-{number}", self._plan()
                self.published[plan_id] = fields
                if fields["decision"] == "SKIP":
                    self.skipped.add(plan_id)
                refused = random.random() < 0.05
                if refused:
                    self._refuse(plan_id, fields["symbol"])
                for _ in range(random.choice((1, 1, 1, 2))):
                    self.permits.publish(plan_id, **fields)
                if not refused:
                    consumers.start_soon(self._consume, plan_id)
                if random.random() < 0.2:
                    again = random.choice(list(self.published))
                    self.permits.publish(again, **self.published[again])

    def _plan(self) -> dict[str, str]:
        random = self.random
        symbol = random.choice(SYMBOLS)
        quantity = plain(Decimal(random.randint(5, 100)).scaleb(-2))
        decision = "SKIP" if random.random() < 0.05 else "EXECUTE"
        common = {"symbol": symbol, "decision": decision, "side": "CLOSE", "reduceOnly": "true"}
        match random.randrange(6):
            case 0 | 1:
                action = random.choice(("FULL_CLOSE_PROPOSED", "PARTIAL_75", "PARTIAL_50"))
                return common | {"action": action}
            case 2:
                return common | {"action": "PARTIAL_50", "close_qty": quantity}
            case _:
                side = random.choice(("BUY", "SELL"))
                entry = {"action": "ENTRY_PROPOSED", "side": side, "qty": quantity, "reduceOnly": "false"}
                return common | entry

    async def _consume(self, plan_id: str) -> None:
        random = self.random
        patience_sec = random.choice((0.0, 1.2, 1.2, 1.2, 2.9))
        with trio.move_on_after(patience_sec):
            while self.redis.get(self.keys.permit(plan_id)) is None:  # noqa: ASYNC110 - as a gate polls
                await trio.sleep(0.02)
            await trio.sleep(random.choice((0, 0, 0.1, 0.6)))
        if random.random() < 0.1 or self.redis.take(self.keys.permit(plan_id)) is None:
            return
        self.check()
        grant = self.grants.get(plan_id)
        if grant is None:
            assert self.decided[plan_id] is False
            return
        grant.taken = True
        match random.randrange(12):
            case 0:  # it dies with the permit in its hand
                await trio.sleep(_EXECUTION_SEC)
                grant.left = Decimal(0)
            case 1:  # the exchange does not want the order
                await trio.sleep(random.uniform(0, 1))
                grant.left = Decimal(0)
                self._refuse(plan_id, grant.symbol)
            case _:
                await self._execute(grant)

    async def _execute(self, grant: Grant) -> None:
        """Send the order, see it filled in parts or cancelled, and tell of it, now or much later."""
        random = self.random
        deadline_sec = trio.current_time() + _EXECUTION_SEC
        await trio.sleep(random.uniform(0, 0.5))
        order_id = grant.plan_id.replace("plan", "order")
        told: list[tuple[Decimal, str]] = []
        parts = random.choice((1, 1, 2, 3)) if grant.quantity >= Decimal("0.01") else 1
        part = (grant.quantity / parts).quantize(Decimal("0.001"))
        cumulative = Decimal(0)
        dies = random.random() < 0.08
        for number in range(parts):
            last = number == parts - 1
            quantity = grant.quantity - cumulative if last else part
            if last and parts > 1 and random.random() < 0.3:
                grant.left = Decimal(0)
                told.append((cumulative, "CANCELED"))
            else:
                cumulative += quantity
                self._fill(grant, order_id, quantity)
                told.append((cumulative, "FILLED" if last else "PARTIALLY_FILLED"))
            if not dies and random.random() < 0.7:
                self._tell(grant, order_id, *told[-1])
            await trio.sleep(min(random.uniform(0, 0.6), max(deadline_sec - trio.current_time(), 0)))
        if dies:
            await trio.sleep(random.uniform(5, 25))
        random.shuffle(told)
        for each in (*told, *random.choices(told, k=random.randrange(3))):
            self._tell(grant, order_id, *each)
            await trio.sleep(random.choice((0, 0.05, 0.5)))

    def _fill(self, grant: Grant, order_id: str, quantity: Decimal) -> None:
        signed = quantity if grant.order_side == "BUY" else -quantity
        # What is filled was allowed until now, and is no more: both at once.
        grant.left -= quantity
        self.exchange.fill(grant.symbol, order_id, grant.order_side, plain(quantity))
        self.filled[grant.symbol] += signed
        self.check()
        if self.random.random() < 0.8:
            self.ledgers.push_fill(grant.symbol, order_id, grant.order_side)

    def _tell(self, grant: Grant, order_id: str, cumulative: Decimal, status: str) -> None:
        self.ledgers.publish_result(
            grant.symbol, order_id, grant.order_side, plain(cumulative), plan_id=grant.plan_id, status=status
        )

    def _refuse(self, plan_id: str, symbol: str) -> None:
        for _ in range(self.random.choice((1, 2))):
            self.redis.xadd(
                self.keys.results, {"plan_id": plan_id, "symbol": symbol, "executed": "False", "error": "no"}
            )

    def pending(self) -> int:
        """Entries of both streams that are not acknowledged."""
        return sum(len(self.redis.xpending(key, GROUP)) for key in (self.keys.plans, self.keys.results))
