"""The accounting of the chain: right books are right, and each kind of wrong one is found."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest

from simulator import MarketOrder, SimulatedExchange
from simulator.symbols import load_symbols
from tests.integration.bridged import INTENTS, NAMES
from tests.integration.chain_books import chain_books
from tests.integration.chain_load import ChainLoad
from tests.integration.pipeline import PLANS, RESULTS, Pipeline
from tests.integration.played_governor import id_at_exchange

SYMBOL = load_symbols()["SOLUSDT"]
BUCKET = "quantum:p35:bucket:202601010000"
LEDGER = f"quantum:position:ledger:{SYMBOL.name}"


class Scene:
    """An intent, its plan, its order, its result and its booking; then whatever a test adds."""

    def __init__(self, redis_url: str) -> None:
        self.pipeline = Pipeline(redis_url)
        self.redis = self.pipeline.redis
        self.exchange = SimulatedExchange(symbols={SYMBOL.name: SYMBOL})
        self.load = ChainLoad(self.pipeline, 1, symbols=[SYMBOL], intents_per_sec=1)
        entry_id = self.pipeline.publish(INTENTS, {"symbol": SYMBOL.name, "side": "BUY"})
        self.answer(entry_id, "p1")
        self.plan("p1")
        self.order("p1")
        self.result("p1", "1")
        self.redis.hset(LEDGER, "last_known_amt", "1")
        self.redis.hset(BUCKET, "decision:EXECUTE", 1)

    def answer(self, entry_id: str, plan_id: str) -> None:
        outcome = {"outcome": "plan", "reason": "", "plan_id": plan_id}
        self.pipeline.publish(NAMES.audit, {"stream": "trade.intent", "entry_id": entry_id, **outcome})

    def plan(self, plan_id: str) -> None:
        self.pipeline.publish_plan(plan_id, {"symbol": SYMBOL.name})

    def order(self, plan_id: str, side: str = "BUY") -> None:
        self.exchange.place_order(
            MarketOrder(
                symbol=SYMBOL.name,
                side="BUY" if side == "BUY" else "SELL",
                quantity=Decimal(1),
                client_order_id=id_at_exchange(plan_id),
            )
        )

    def result(self, plan_id: str, filled: str) -> None:
        """Publish a last result; `filled` of 0 is a refusal."""
        executed = "false" if filled == "0" else "true"
        self.pipeline.publish(
            RESULTS,
            {"plan_id": plan_id, "executed": executed, "order_status": "FILLED", "filled_qty": filled,
             "error": ""},
        )  # fmt: skip

    async def wrong(self) -> list[str]:
        await self.load.reads()
        return chain_books(self.pipeline, self.exchange, self.load).wrong()


def _planned_twice(scene: Scene) -> None:
    scene.plan("p1")


def _ordered_twice(scene: Scene) -> None:
    scene.order("p1")
    scene.redis.hset(LEDGER, "last_known_amt", "2")


def _unanswered(scene: Scene) -> None:
    scene.pipeline.publish(INTENTS, {"symbol": SYMBOL.name})


def _answered_twice(scene: Scene) -> None:
    ((entry_id, _),) = scene.pipeline.entries(INTENTS)
    scene.answer(entry_id, "p1")


def _answer_alone(scene: Scene) -> None:
    scene.answer("1-1", "p1")


def _plan_lost(scene: Scene) -> None:
    """The audit has a plan that the stream has not."""
    entry_id = scene.pipeline.publish(INTENTS, {"symbol": SYMBOL.name})
    scene.answer(entry_id, "p2")


def _plan_of_nothing(scene: Scene) -> None:
    scene.plan("p2")
    scene.result("p2", "0")
    scene.redis.hincrby(BUCKET, "decision:SKIP", 1)


def _two_ends(scene: Scene) -> None:
    scene.result("p1", "1")
    scene.redis.hincrby(BUCKET, "decision:EXECUTE", 1)


def _refused_and_filled(scene: Scene) -> None:
    scene.redis.delete(RESULTS)
    scene.result("p1", "0")


def _filled_otherwise(scene: Scene) -> None:
    scene.redis.delete(RESULTS)
    scene.result("p1", "0.5")


def _order_of_nothing(scene: Scene) -> None:
    scene.order("p9")
    scene.order("p8", "SELL")


def _misbooked(scene: Scene) -> None:
    scene.redis.hset(LEDGER, "last_known_amt", "3")


def _held(scene: Scene) -> None:
    scene.redis.set(f"quantum:reconcile:hold:{SYMBOL.name}", "1")


def _needs_person(scene: Scene) -> None:
    scene.redis.hset(f"quantum:reconcile:state:{SYMBOL.name}", "status", "MANUAL_REQUIRED")


def _undecided(scene: Scene) -> None:
    scene.redis.zadd("quantum:executor:open", {"p1": 1})


def _reserved(scene: Scene) -> None:
    scene.redis.hset("quantum:governor:reserved", "p1", "{}")


def _miscounted(scene: Scene) -> None:
    scene.redis.hincrby(BUCKET, "decision:EXECUTE", 1)


def _unread_result(scene: Scene) -> None:
    scene.pipeline.publish(f"{RESULTS}.dead", {"plan_id": "p1"})


def _dead_and_executed(scene: Scene) -> None:
    scene.pipeline.publish(f"{PLANS}.dead", {"plan_id": "p1"})


WRONG: dict[str, tuple[Callable[[Scene], None], ...]] = {
    "intents without an end": (_unanswered,),
    "intents with two answers": (_answered_twice,),
    "answers to no intent": (_answer_alone,),
    "plans without an end": (_plan_lost,),
    "plans of no intent": (_plan_of_nothing,),
    "plans published twice": (_planned_twice,),
    "plans with two ends": (_two_ends,),
    "orders doubled": (_ordered_twice,),
    "orders and results that differ": (_refused_and_filled, _filled_otherwise, _order_of_nothing),
    "ledgers that differ from the exchange": (_misbooked,),
    "open cases": (_held, _needs_person, _undecided, _reserved),
    "results counted wrongly": (_miscounted,),
    "results in the dead letters": (_unread_result,),
    "dead plans that were executed": (_dead_and_executed,),
}


async def test_books_that_agree_are_right(redis_server: str) -> None:
    scene = Scene(redis_server)
    assert await scene.wrong() == []
    assert chain_books(scene.pipeline, scene.exchange, scene.load).faults.keys() == WRONG.keys()


@pytest.mark.parametrize("kind", WRONG)
async def test_each_kind_of_error_is_found_and_named(redis_server: str, kind: str) -> None:
    for spoil in WRONG[kind]:
        scene = Scene(redis_server)
        spoil(scene)
        wrong = await scene.wrong()
        assert len(wrong) == 1 and kind in wrong[0], (spoil.__name__, wrong)
        scene.redis.flushall()
