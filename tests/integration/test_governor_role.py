"""The Governor's role in a real daemon, with the executor that waits for its permits."""

from __future__ import annotations

import json
import signal

import pytest

from simulator import RunningSimulator
from tests.integration.daemon_process import daemon_process
from tests.integration.governed_plans import (
    KEYS,
    SHADOW,
    asked,
    governor,
    knows_the_account,
    prices_are_known,
)
from tests.integration.pipeline import PLANS, RESULTS, Pipeline, entry, full_close
from tests.integration.surroundings import environment, trade
from tests.integration.waiting import until, until_async
from tests.page.test_rendering import read

BOTH = {"P33_GOVERNOR": "on", "P33_EXECUTOR": "on", "GOV_SYMBOL_COOLDOWN_SECONDS": "0"}


def result_of(pipeline: Pipeline, plan_id: str) -> dict[str, str] | None:
    return next((row for _, row in pipeline.entries(RESULTS) if row["plan_id"] == plan_id), None)


async def explanation_of(url: str, plan_id: str) -> str:
    """The page's explanation, once P3.3 has decided the plan."""
    address = f"/explanation?plan={plan_id}"

    async def there() -> bool:
        return (await asked(url, address)).status_code == 200

    await until_async(there, f"the explanation of {plan_id}")
    return read((await asked(url, address)).text).text


async def settled(pipeline: Pipeline, plan_id: str) -> None:
    await until(lambda: result_of(pipeline, plan_id), f"the result of {plan_id}", 5)
    await until(lambda: not pipeline.redis.hexists(KEYS.reserved, plan_id), f"{plan_id} settled", 5)


async def test_plans_get_both_permits_from_this_service_and_are_executed_and_settled(
    redis_server: str, pipeline: Pipeline, simulator: RunningSimulator
) -> None:
    environ = environment(redis_server, simulator, BOTH)
    async with daemon_process(environ) as process:
        url = await process.ready()
        await knows_the_account(url)
        await prices_are_known(pipeline.redis, "SOLUSDT", "BTCUSDT")
        pipeline.publish_plan("open-1", {**entry("SOLUSDT", "0.5"), "kill_score": "0.4"})
        result = await until(lambda: result_of(pipeline, "open-1"), "the result", 5)
        assert result is not None
        assert (result["error"], result["order_status"], result["filled_qty"]) == ("", "FILLED", "0.5")
        await settled(pipeline, "open-1")
        assert pipeline.redis.zrange(KEYS.window("SOLUSDT"), 0, -1) == ["open-1"]
        pipeline.publish_plan("close-1", full_close("SOLUSDT"))
        await settled(pipeline, "close-1")
        closed = result_of(pipeline, "close-1")
        assert closed is not None and (closed["error"], closed["filled_qty"]) == ("", "0.5")
        pipeline.publish_plan("large-1", entry("BTCUSDT", "1"))
        refused = await until(lambda: result_of(pipeline, "large-1"), "the refusal", 5)
        assert refused is not None
        assert refused["error"] == "permit_denied (Governor: notional_per_trade_exceeded)"
        audit = [row for _, row in pipeline.entries(KEYS.audit)]
        assert [(row["plan_id"], row["reason"]) for row in audit] == [
            ("open-1", "governor_granted"),
            ("close-1", "governor_granted_close"),
            ("large-1", "notional_per_trade_exceeded"),
        ]
        shown = await governor(url)
        assert (shown["mode"], shown["trading_state"], shown["state_readable"]) == ("on", "ACTIVE", True)
        metrics = (await asked(url, "/metrics")).text
        assert 'quantum_govern_allow_total{symbol="SOLUSDT"} 2' in metrics
        reason = 'reason="notional_per_trade_exceeded"'
        assert f'quantum_govern_block_total{{symbol="BTCUSDT",{reason}}} 1' in metrics
        assert pipeline.redis.hget(KEYS.equity, "peak") is not None
        why = {each: await explanation_of(url, each) for each in ("open-1", "large-1")}
        assert "ALLOW open_permit_granted" in why["open-1"]
        assert "Governor ✓ GRANT governor_granted" in why["open-1"]
        assert "Governor ✕ REFUSE notional_per_trade_exceeded" in why["large-1"]
        assert "notional of the trade DENIED" in why["large-1"] and "permit now" not in why["large-1"]
        assert await process.stop(signal.SIGTERM) == 0
    assert len(simulator.exchange.requests.records(path="/fapi/v1/order")) == 2


async def test_closes_are_granted_without_equity_while_everything_else_is_stopped(
    redis_server: str, pipeline: Pipeline, simulator: RunningSimulator
) -> None:
    trade(simulator.exchange, "SOLUSDT", "BUY", "1")
    pipeline.redis.set("quantum:kill", "1")
    environ = environment(redis_server, simulator, {"P33_GOVERNOR": "on"})
    async with daemon_process(environ) as process:
        await process.ready()
        pipeline.publish_plan("open-1", entry("BTCUSDT", "0.001"))
        pipeline.publish_plan("close-1", full_close("SOLUSDT"))
        text = await until(lambda: pipeline.redis.get("quantum:permit:close-1"), "the permit", 5)
        assert json.loads(text)["reason"] == "governor_granted_close"
        block = await until(lambda: pipeline.redis.get(KEYS.block("open-1")), "the block", 5)
        assert json.loads(block)["reason"] == "kill_switch_active"


async def test_an_unreadable_trading_state_halts_and_readyz_says_so(
    redis_server: str, pipeline: Pipeline, simulator: RunningSimulator
) -> None:
    pipeline.redis.set("quantum:governor:trading_state", "perhaps")
    environ = environment(redis_server, simulator, {"P33_GOVERNOR": "on"})
    async with daemon_process(environ) as process:
        url = await process.ready()

        async def said() -> bool:
            return "governor:trading_state cannot be read" in (await asked(url, "/readyz")).text

        await until_async(said, "readyz names the trading state")
        pipeline.publish_plan("close-1", full_close("SOLUSDT"))
        block = await until(lambda: pipeline.redis.get(KEYS.block("close-1")), "the block", 5)
        assert json.loads(block)["reason"] == "trading_halted"


async def test_the_shadow_writes_below_its_own_prefix_alone(
    redis_server: str, pipeline: Pipeline, simulator: RunningSimulator
) -> None:
    environ = environment(redis_server, simulator, {"P33_GOVERNOR": "shadow"})
    async with daemon_process(environ) as process:
        url = await process.ready()
        await knows_the_account(url)
        await prices_are_known(pipeline.redis, "SOLUSDT", "BTCUSDT")
        pipeline.publish_plan("open-1", {**entry("SOLUSDT", "0.5"), "kill_score": "0.4"})
        pipeline.publish_plan("large-1", entry("BTCUSDT", "1"))
        await until(lambda: pipeline.redis.xlen(SHADOW.audit) == 2, "both judgements", 5)
        audit = [row for _, row in pipeline.entries(SHADOW.audit)]
        assert {row["plan_id"]: row["reason"] for row in audit} == {
            "open-1": "governor_granted",
            "large-1": "notional_per_trade_exceeded",
        }
        written = set(pipeline.redis.scan_iter("quantum:governor:*"))
        assert {key for key in written if not key.startswith(f"{SHADOW.base}:")} == set()
        assert not pipeline.redis.exists("quantum:permit:open-1")
        assert "in its shadow: it permits nothing" in await explanation_of(url, "large-1")
        groups = {each["name"] for each in pipeline.redis.xinfo_groups(PLANS)}
        assert groups == {"p33", "governor_shadow"}


@pytest.mark.parametrize("take_over", ["false", "true"])
async def test_another_governor_on_the_same_stream_is_waited_for_unless_it_is_taken_over(
    redis_server: str, pipeline: Pipeline, simulator: RunningSimulator, take_over: str
) -> None:
    pipeline.redis.xgroup_create(PLANS, "governor", "$", mkstream=True)
    pipeline.publish_plan("theirs", entry("SOLUSDT", "0.5"))
    pipeline.redis.xreadgroup("governor", "gov-1234", {PLANS: ">"}, count=1)
    environ = environment(redis_server, simulator, {"P33_GOVERNOR": "on", "P33_TAKE_OVER": take_over})
    async with daemon_process(environ) as process:
        url = await process.ready()
        pipeline.publish_plan("plan-1", entry("BTCUSDT", "1"))
        if take_over == "true":
            await until(lambda: pipeline.redis.get(KEYS.block("plan-1")), "the block", 5)
            return

        async def waits() -> bool:
            return (await governor(url))["waits_for"] is not None

        await until_async(waits, "the wait for the other Governor")
        another = "another Governor works on `quantum:stream:apply.plan`: consumer gov-1234, idle "
        assert (await governor(url))["waits_for"].startswith(another)
        assert pipeline.redis.get(KEYS.block("plan-1")) is None
