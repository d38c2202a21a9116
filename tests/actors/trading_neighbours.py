"""Who publishes plans and executes what is allowed, beside a `TradingWorld`."""

from __future__ import annotations

from decimal import Decimal

import trio

from brain.execution.orders import client_order_id
from brain.identifiers import PlanId
from brain.numbers import plain
from tests.actors.evaluator_rig import SYMBOLS
from tests.actors.trading_world import Grant, TradingWorld
from tests.brain.unknown_wordings import UNKNOWN

#: From taking a permit to the order's last fill.
_EXECUTION_SEC = 3.0


class TradingNeighbours:
    """Publishers, some of whom repeat themselves, and consumers, some of whom die."""

    def __init__(self, world: TradingWorld) -> None:
        self._world = world
        self._random = world.random

    async def trade(self, count: int) -> None:
        """Publish `count` plans, some of them again, and consume what comes of them, to the end."""
        random = self._random
        async with trio.open_nursery() as consumers:
            for number in range(count):
                await trio.sleep(random.expovariate(5))
                plan_id, fields = f"plan-{number}", self._plan()
                self._world.published[plan_id] = fields
                if fields["decision"] == "SKIP":
                    self._world.skipped.add(plan_id)
                refused = random.random() < 0.05
                if refused:
                    self._refuse(plan_id, fields["symbol"])
                for _ in range(random.choice((1, 1, 1, 2))):
                    self._world.permits.publish(plan_id, **fields)
                if not refused:
                    consumers.start_soon(self._consume, plan_id)
                if random.random() < 0.2:
                    again = random.choice(list(self._world.published))
                    self._world.permits.publish(again, **self._world.published[again])

    def _plan(self) -> dict[str, str]:
        random = self._random
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
        random = self._random
        patience_sec = random.choice((0.0, 1.2, 1.2, 1.2, 2.9))
        with trio.move_on_after(patience_sec):
            while self._world.redis.get(self._world.keys.permit(plan_id)) is None:  # noqa: ASYNC110 - as a gate polls
                await trio.sleep(0.02)
            await trio.sleep(random.choice((0, 0, 0.1, 0.6)))
        if random.random() < 0.1 or self._world.redis.take(self._world.keys.permit(plan_id)) is None:
            return
        self._world.check()
        grant = self._world.grants.get(plan_id)
        if grant is None:
            assert self._world.decided[plan_id] is False
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
            case 2 | 3:  # no answer comes back: the order may be filled, or never arrive
                await self._send_without_answer(grant)
            case _:
                await self._execute(grant)

    async def _execute(self, grant: Grant) -> None:
        """Send the order, see it filled in parts or cancelled, and tell of it, now or much later."""
        random = self._random
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

    async def _send_without_answer(self, grant: Grant) -> None:
        """Report an unknown outcome, before or after the fill, if there is one; look the order up at last."""
        random = self._random
        order_id = grant.plan_id.replace("plan", "order")
        filled = random.random() < 0.6
        if filled and random.random() < 0.5:
            self._fill(grant, order_id, grant.quantity, client_order_id=self._client_order_id(grant))
        for _ in range(random.choice((1, 1, 2))):
            await trio.sleep(random.uniform(0, 0.5))
            self._refuse(grant.plan_id, grant.symbol, random.choice(UNKNOWN))
        await trio.sleep(random.uniform(0, 1))
        if filled and grant.left:
            self._fill(grant, order_id, grant.quantity, client_order_id=self._client_order_id(grant))
        await trio.sleep(random.uniform(0, _EXECUTION_SEC - 2))
        if filled:
            self._tell(grant, order_id, grant.quantity, "FILLED")
        else:
            grant.left = Decimal(0)
            self._refuse(grant.plan_id, grant.symbol, "order_not_found")

    def _client_order_id(self, grant: Grant) -> str:
        """The chain's, or one that nothing links to the plan."""
        return self._random.choice((client_order_id("quantum", PlanId(grant.plan_id)), "x"))

    def _fill(self, grant: Grant, order_id: str, quantity: Decimal, *, client_order_id: str = "x") -> None:
        signed = quantity if grant.order_side == "BUY" else -quantity
        # What is filled was allowed until now, and is no more: both at once.
        grant.left -= quantity
        self._world.exchange.fill(grant.symbol, order_id, grant.order_side, plain(quantity))
        self._world.filled[grant.symbol] += signed
        self._world.check()
        if self._random.random() < 0.8:
            self._world.ledgers.push_fill(
                grant.symbol, order_id, grant.order_side, client_order_id=client_order_id
            )

    def _tell(self, grant: Grant, order_id: str, cumulative: Decimal, status: str) -> None:
        self._world.ledgers.publish_result(
            grant.symbol, order_id, grant.order_side, plain(cumulative), plan_id=grant.plan_id, status=status
        )

    def _refuse(self, plan_id: str, symbol: str, error: str = "no") -> None:
        for _ in range(self._random.choice((1, 2))):
            self._world.redis.xadd(
                self._world.keys.results,
                {"plan_id": plan_id, "symbol": symbol, "executed": "False", "error": error},
            )
