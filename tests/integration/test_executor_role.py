"""The executor's role in a real daemon: on, in a dry run, and beside another executor."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from typing import Any

import httpx
import pytest
import trio

from commands.explain import explain
from simulator import RunningSimulator
from tests.integration.daemon_process import daemon_process
from tests.integration.pipeline import PLANS, RESULTS, Fields, Pipeline, entry
from tests.integration.surroundings import environment
from tests.integration.waiting import until, until_async

AUDIT, DRY_RUN = "quantum:stream:executor.audit", "quantum:stream:executor.dry_run"


async def asked(url: str, path: str) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False, base_url=url) as client:
        return await client.get(path, timeout=10)


async def role(url: str) -> dict[str, Any]:
    """Return the executor in the tree: its state and what it waits for."""
    tree = (await asked(url, "/status")).json()["tree"]
    (roles,) = [child for child in tree["children"] if child["name"] == "roles"]
    (executor,) = roles["children"]
    assert executor["name"] == "executor"
    found: dict[str, Any] = executor
    return found


async def executes(pipeline: Pipeline, group: str) -> None:
    """Wait until the executor reads plans, and the notional of an order can be computed."""

    def there() -> bool:
        return any(each["name"] == group for each in pipeline.redis.xinfo_groups(PLANS))

    await until(there, f"the group {group}", 5)
    await until(lambda: pipeline.snapshot("SOLUSDT").get("mark_price"), "a mark price", 5)


def publish(pipeline: Pipeline, plan_id: str, fields: Fields) -> None:
    """Publish a plan with the Governor's permit."""
    pipeline.redis.set(f"quantum:permit:{plan_id}", json.dumps({"granted": True, **fields}), ex=60)
    pipeline.publish_plan(plan_id, fields)


def result_of(pipeline: Pipeline, plan_id: str, stream: str = RESULTS) -> Callable[[], dict[str, str] | None]:
    def look() -> dict[str, str] | None:
        return next((row for _, row in pipeline.entries(stream) if row["plan_id"] == plan_id), None)

    return look


async def test_a_plan_with_both_permits_becomes_one_order_and_its_result_is_booked_and_explained(
    redis_server: str,
    pipeline: Pipeline,
    simulator: RunningSimulator,
    capsys: pytest.CaptureFixture[str],
) -> None:
    environ = environment(redis_server, simulator, {"P33_EXECUTOR": "on"})
    async with daemon_process(environ) as process:
        url = await process.ready()
        await executes(pipeline, "intent_executor")
        publish(pipeline, "plan-1", entry("SOLUSDT", "0.5"))
        result = await until(result_of(pipeline, "plan-1"), "the result", 5)
        assert result is not None
        assert (result["error"], result["order_status"], result["filled_qty"]) == (
            "", "FILLED", "0.5",
        )  # fmt: skip
        await until(lambda: pipeline.ledger("SOLUSDT").get("last_known_amt") == "0.5", "the booking", 5)
        assert not pipeline.redis.exists("quantum:permit:plan-1", "quantum:permit:p33:plan-1")
        assert explain({"REDIS_URL": redis_server}, "plan-1", as_json=True) == 0
        execution = json.loads(capsys.readouterr().out)["execution"]
        lines = [each["what"].partition(":")[0] for each in execution["timeline"]]
        assert lines[:4] == [
            "The plan was published.",
            "P3.3 allows it",
            f"The permits are consumed after {json.loads(result['details'])['waited_ms']} ms of waiting",
            "An order is begun",
        ]
        assert lines[-2:] == ["Result", "Booked in the ledger"]
        assert json.loads(execution["permits"]["Governor"])["granted"] is True
        assert next(each["step"] for _, each in pipeline.entries(AUDIT)) == "begin"
        await until_async(lambda: nothing_open(url), "the order is final")
        assert (await role(url))["state"] in ("running", "waiting")
        shown = (await asked(url, "/status")).json()
        assert shown["roles"]["executor"] == {
            "mode": "on", "doing": "sends orders, 0 of them not final", "open_orders": 0, "waits_for": None,
        }  # fmt: skip
        assert (
            'exec_orders_total{symbol="SOLUSDT",outcome="accepted"} 1' in (await asked(url, "/metrics")).text
        )
        page = (await asked(url, "/")).text
        assert 'id="roles"' in page and ">executor<" in page
        assert await process.stop(signal.SIGTERM) == 0
    assert len(simulator.exchange.requests.records(path="/fapi/v1/order")) == 1


async def nothing_open(url: str) -> bool:
    shown = (await asked(url, "/status")).json()["roles"]["executor"]
    return bool(
        shown["open_orders"] == 0
        and 'apply_executed_total{status="FILLED"} 1' in (await asked(url, "/metrics")).text
    )


async def test_a_dry_run_publishes_the_order_that_it_would_send_and_leaves_the_permits(
    redis_server: str, pipeline: Pipeline, simulator: RunningSimulator
) -> None:
    environ = environment(redis_server, simulator, {"P33_EXECUTOR": "dry_run"})
    async with daemon_process(environ) as process:
        url = await process.ready()
        await executes(pipeline, "intent_executor_shadow")
        publish(pipeline, "plan-1", entry("SOLUSDT", "0.5"))
        result = await until(result_of(pipeline, "plan-1", DRY_RUN), "the result", 5)
        assert result is not None
        assert (result["executed"], result["would_execute"], result["error"]) == ("false", "true", "")
        assert pipeline.redis.exists("quantum:permit:plan-1", "quantum:permit:p33:plan-1") == 2
        assert pipeline.entries(RESULTS) == []
        await role(url)
        shown = (await asked(url, "/status")).json()["roles"]["executor"]
        assert (shown["mode"], shown["open_orders"]) == ("dry_run", None)
        assert set(pipeline.redis.scan_iter("quantum:executor:*")) == set()
    assert simulator.exchange.requests.records(path="/fapi/v1/order") == []


@pytest.mark.parametrize("take_over", ["false", "true"])
async def test_an_executor_waits_while_another_reads_the_plans_unless_it_takes_over(
    redis_server: str, pipeline: Pipeline, simulator: RunningSimulator, take_over: str
) -> None:
    pipeline.redis.xgroup_create(PLANS, "intent_executor", "$", mkstream=True)
    pipeline.publish_plan("theirs", entry("SOLUSDT", "0.5"))
    pipeline.redis.xreadgroup("intent_executor", "theirs-1", {PLANS: ">"}, count=1)
    switches = {"P33_EXECUTOR": "on", "P33_TAKE_OVER": take_over}
    async with daemon_process(environment(redis_server, simulator, switches)) as process:
        url = await process.ready()
        publish(pipeline, "plan-1", entry("SOLUSDT", "0.5"))
        if take_over == "true":
            await until(result_of(pipeline, "plan-1"), "the result", 5)
            return
        (waits,) = await until_async(lambda: waiting_for(url), "it waits")
        another = "another executor works on `quantum:stream:apply.plan`: consumer theirs-1, idle "
        assert waits.startswith(another)
        assert (await asked(url, "/status")).json()["roles"]["executor"]["waits_for"].startswith(another)
        await trio.sleep(1)  # ten times what an execution takes
        assert pipeline.entries(RESULTS) == []
    assert simulator.exchange.requests.records(path="/fapi/v1/order") == []


async def waiting_for(url: str) -> list[str]:
    waits: list[str] = (await role(url))["waiting_for"]
    return waits
