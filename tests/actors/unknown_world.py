"""Evaluator and ledger writer on virtual time, and orders of which an executor does not know the outcome."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from random import Random
from typing import Literal

import msgspec
import trio

from brain.execution.orders import client_order_id
from brain.identifiers import ClientOrderId, OrderId, PlanId, Symbol
from brain.positions.position import Leg
from brain.symbols.allowlist import Allowlist, AllowlistSource
from brain.symbols.symbol_rules import SymbolRules
from channels import FillObserved, Lease, OrderEndObserved
from supervision import Heartbeat
from tests.actors.evaluator_rig import Watched, evaluator_beside
from tests.actors.ledger_rig import LedgerRig
from tests.background import background
from tests.brain.cases import RULES as USUAL

RULES = msgspec.structs.replace(USUAL, cooldown_sec=0)
GRACE_ENDS_SEC = RULES.permit_ttl_sec + RULES.execution_grace_sec
POSITION, ORDERED = Decimal(4), Decimal(3)
_AFTER_ADOPTION_SEC = 61.0
_PROBE_PATIENCE_SEC = 2.0

Link = Literal["chain", "named client id", "named order id", "none"]


class Fate(msgspec.Struct, frozen=True, kw_only=True):
    """Times are seconds after the decision; None: it never happens.

    `ends`: how the order ends. `link`: what joins its events to the plan. `told_at`: a later result.
    """

    reported_at: float
    ends: Literal["FILLED", "in parts", "CANCELED", "never sent"]
    ends_at: float
    link: Link
    told_at: float | None

    @property
    def filled(self) -> bool:
        """Whether the order is filled at last."""
        return self.ends in ("FILLED", "in parts")

    @property
    def known_at(self) -> float | None:
        """When the service can know of the end."""
        known = [] if self.told_at is None else [max(self.told_at, self.ends_at)]
        if self.link != "none" and self.ends != "never sent":
            known.append(max(self.ends_at, self.reported_at))
        return min(known, default=None)


def drawn_fate(random: Random) -> Fate:
    """An order may end before its executor gives up, or up to the last seconds of the grace."""
    ends_at = random.choice((random.uniform(0.2, 5), random.uniform(5, GRACE_ENDS_SEC - 8)))
    told_at = random.choice((None, None, random.uniform(ends_at, GRACE_ENDS_SEC - 4)))
    return Fate(
        reported_at=random.uniform(0.3, 20),
        ends=random.choice(("FILLED", "FILLED", "in parts", "CANCELED", "never sent")),
        ends_at=ends_at,
        link=random.choice(("chain", "named client id", "named order id", "none")),
        told_at=told_at,
    )


class UnknownWorld:
    """Any number of symbols, each with a position of 4 of which a plan may close 3."""

    def __init__(self, symbols: int, seed: int) -> None:
        self.random = Random(seed)  # noqa: S311 - the same world for the same seed
        self.ledgers = LedgerRig()
        self.ledgers.reservation_life_sec = GRACE_ENDS_SEC
        self.redis, self.keys = self.ledgers.redis, self.ledgers.keys
        self.store = Watched(self.redis, keys=self.keys, consumer="me")
        self.permits = evaluator_beside(self.ledgers, self.store, rules=RULES)
        self.symbols = tuple(f"S{number}USDT" for number in range(symbols))
        step = Decimal("0.001")
        self.permits.symbol_rules.send(
            {name: SymbolRules(name, True, step, step, Decimal(1000)) for name in self.symbols}
        )
        self.permits.allowlist.send(
            Allowlist(AllowlistSource.ENV, False, frozenset(self.symbols), None, None)
        )
        for name in self.symbols:
            self.ledgers.exchange.set(name, str(POSITION), update_time_ms=self.ledgers.exchange.now_ms() - 1)
        #: What the order of a symbol may still fill, as far as anybody but the exchange can know.
        self.left: dict[str, Decimal] = {}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Both actors run, and the ledgers are adopted for good."""
        reply = await self.store.hold_lease("me", None, 3_600_000)
        self.ledgers.lease.send(Lease(reply.fence, "me"))
        async with background(self.ledgers.writer().run, Heartbeat()) as nursery:
            nursery.start_soon(self.permits.evaluator().run, Heartbeat())
            for name in self.symbols:
                self.ledgers.observe(name)
            await trio.sleep(_AFTER_ADOPTION_SEC)
            yield

    def amount(self, symbol: str) -> Decimal:
        """The position on the exchange."""
        return self.ledgers.exchange.rows[symbol][0]

    async def ask(self, symbol: str, plan_id: str, action: str) -> Decimal | str:
        """Publish an exit; what it may close, or the reason of its deny."""
        self.ledgers.observe(symbol)
        self.permits.publish(plan_id, symbol, action=action)
        with trio.fail_after(_PROBE_PATIENCE_SEC):
            while (permit := self.permits.permit(plan_id)) is None:  # noqa: ASYNC110 - as a gate polls
                await trio.sleep(0.01)
        return Decimal(str(permit["safe_close_qty"])) if permit["allow"] else str(permit["reason"])

    async def probe(self, symbol: str, number: int) -> Decimal | str:
        """Ask to close everything; what is allowed must leave room for the order. Then give it back."""
        plan_id = f"probe-{number}-{symbol}"
        answer = await self.ask(symbol, plan_id, "FULL_CLOSE_PROPOSED")
        if isinstance(answer, Decimal):
            may_close = self.amount(symbol) - self.left[symbol]
            assert answer <= may_close, f"{symbol}: {answer} allowed of {may_close}"
            self.redis.take(self.keys.permit(plan_id))
            self.report(symbol, plan_id, error="no")
        return answer

    def report(self, symbol: str, plan_id: str, **fields: str) -> None:
        """Publish that a plan was not executed."""
        told: dict[str | bytes, str | bytes] = {"plan_id": plan_id, "symbol": symbol, "executed": "False"}
        told.update(fields)
        self.redis.xadd(self.keys.results, told)

    async def live_through(self, symbol: str, error: str, fate: Fate) -> Decimal | str:
        """Close 3 of 4 with that fate; what may be closed in the end."""
        plan_id = f"plan-{symbol}"
        assert await self.ask(symbol, plan_id, "PARTIAL_75") == ORDERED
        decided = trio.current_time()
        self.left[symbol] = ORDERED
        assert self.redis.take(self.keys.permit(plan_id)) is not None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._end, symbol, plan_id, fate, decided)
            nursery.start_soon(self._report, symbol, plan_id, error, fate, decided)
            if fate.told_at is not None:
                nursery.start_soon(self._tell, symbol, plan_id, fate, decided)
            at = decided
            for number in range(3):
                at += self.random.uniform(1, (GRACE_ENDS_SEC - 10) / 3)
                await trio.sleep_until(at)
                await self.probe(symbol, number)
        await trio.sleep_until(decided + GRACE_ENDS_SEC + 1)
        self.left[symbol] = Decimal(0)
        return await self.probe(symbol, 3)

    async def _end(self, symbol: str, plan_id: str, fate: Fate, decided: float) -> None:
        await trio.sleep_until(decided + fate.ends_at)
        match fate.ends:
            case "FILLED":
                self._fill(symbol, plan_id, fate, ORDERED, "FILLED")
            case "in parts":
                self._fill(symbol, plan_id, fate, Decimal(1), "PARTIALLY_FILLED")
                await trio.sleep(self.random.uniform(0, 1))
                self._fill(symbol, plan_id, fate, Decimal(2), "FILLED")
            case "CANCELED":
                self.left[symbol] = Decimal(0)
                if fate.link != "none":
                    now, client_id = self.ledgers.clock.now(), self._client_id(symbol, plan_id, fate)
                    self.ledgers.fills.send(
                        OrderEndObserved(
                            Symbol(symbol), Leg.BOTH, self._order_id(symbol), client_id,
                            "SELL", Decimal(0), "CANCELED", now.wall_ms, now,
                        )
                    )  # fmt: skip

    def _fill(self, symbol: str, plan_id: str, fate: Fate, quantity: Decimal, status: str) -> None:
        # What is filled may not be filled any more: both at once.
        self.left[symbol] -= quantity
        self.ledgers.exchange.fill(symbol, self._order_id(symbol), "SELL", str(quantity))
        if fate.link == "none" and self.random.random() < 0.5:
            return  # the stream was away
        now, client_id = self.ledgers.clock.now(), self._client_id(symbol, plan_id, fate)
        filled = ORDERED - self.left[symbol]
        self.ledgers.fills.send(
            FillObserved(
                Symbol(symbol), Leg.BOTH, self._order_id(symbol), client_id,
                "SELL", filled, status, now.wall_ms, now, quantity,
            )
        )  # fmt: skip

    async def _report(self, symbol: str, plan_id: str, error: str, fate: Fate, decided: float) -> None:
        await trio.sleep_until(decided + fate.reported_at)
        named = {"error": error}
        if fate.link == "named client id":
            named["client_order_id"] = self._client_id(symbol, plan_id, fate)
        elif fate.link == "named order id":
            named["order_id"] = self._order_id(symbol)
        self.report(symbol, plan_id, **named)

    async def _tell(self, symbol: str, plan_id: str, fate: Fate, decided: float) -> None:
        """Publish the later result, behind the first one."""
        assert fate.told_at is not None
        await trio.sleep_until(decided + max(fate.told_at, fate.ends_at + 1.5, fate.reported_at + 0.1))
        if fate.filled:
            order_id = self._order_id(symbol)
            self.ledgers.publish_result(symbol, order_id, "SELL", str(ORDERED), plan_id=plan_id)
        else:
            self.left[symbol] = Decimal(0)
            self.report(symbol, plan_id, error="order_not_found")

    def _order_id(self, symbol: str) -> OrderId:
        return OrderId(f"9{symbol[1:-4]}")

    def _client_id(self, symbol: str, plan_id: str, fate: Fate) -> ClientOrderId:
        match fate.link:
            case "chain":
                return client_order_id("quantum", PlanId(plan_id))
            case "named client id":
                return ClientOrderId(f"desk-{symbol}")
        return ClientOrderId("x")
