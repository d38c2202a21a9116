"""Twenty thousand hostile entries: the actors stay up, only honest plans are allowed, nothing pends."""

from __future__ import annotations

import httpx
import msgspec
import trio
import trio.lowlevel

from simulator import RunningSimulator
from tests.integration.daemon_process import daemon_process
from tests.integration.fuzzed_entries import HONEST, SPOILT, FuzzedEntries
from tests.integration.pipeline import AUDIT, PLANS, RESULTS, Pipeline, entry, executed
from tests.integration.surroundings import environment, trade
from tests.integration.test_ledger_sum import plain

ENTRIES = 20_000
SEED = 3
BATCH = 250
SETTINGS = {
    "P33_ALLOWLIST_SOURCE": "universe",
    "P33_ALLOWLIST_REFRESH_S": "0.5",
    "P33_PLAN_MAX_AGE_SEC": "60",
    "P33_WEIGHT_BUDGET_PER_MIN": "2400",
}


class Child(msgspec.Struct):
    name: str
    restarts: int
    last_reason: str | None


class Tree(msgspec.Struct):
    children: list[Child]


class Status(msgspec.Struct):
    ready: bool
    tree: Tree


async def status(url: str) -> Status:
    async with httpx.AsyncClient(trust_env=False) as client:
        response = await client.get(f"{url}/status", timeout=5)
    return msgspec.json.decode(response.content, type=Status)


async def test_twenty_thousand_fuzzed_entries_restart_no_actor_and_are_allowed_nothing(
    redis_server: str, pipeline: Pipeline, simulator: RunningSimulator
) -> None:
    fuzz = FuzzedEntries(SEED)
    redis = pipeline.redis
    async with daemon_process(environment(redis_server, simulator, SETTINGS)) as daemon:
        url = await daemon.ready()
        pipe = redis.pipeline(transaction=False)
        for symbol in SPOILT:
            fuzz.spoilt_key(symbol)(pipe)
        pipe.execute()
        for number in range(ENTRIES):
            fuzz.write()(pipe)
            if number % 1_000 == 0:
                order = trade(simulator.exchange, "BTCUSDT", "SELL", "0.01")
                pipe.xadd(
                    RESULTS, executed(f"honest-{number}", "BTCUSDT", order.order_id, "SELL", order.executed)
                )
            if number % BATCH == BATCH - 1:
                pipe.execute()
                await trio.lowlevel.checkpoint()
        pipe.execute()
        await pipeline.nothing_pends(PLANS, RESULTS, within_sec=40)

        answer = await pipeline.ask("after", entry(HONEST[-1], "20"), within_sec=10)
        assert answer["reason"] not in ("malformed_plan", "evaluation_failed")
        ledgers = [pipeline.ledger_amount(symbol) for symbol in HONEST]
        assert ledgers == [plain(simulator.exchange.position(symbol).amount) for symbol in HONEST]
        assert ledgers[0] == "-0.2"
        await pipeline.decided_once(fuzz.answerable)
        allowed = {fields["plan_id"] for _, fields in pipeline.entries(AUDIT) if fields["allow"] == "true"}
        assert allowed <= fuzz.honest | {"after"}
        assert allowed & fuzz.honest
        told = await status(url)
        assert [child for child in told.tree.children if child.restarts or child.last_reason] == []
        assert told.ready
        assert "Actor failed" not in daemon.output
