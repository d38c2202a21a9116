"""The executor with what is around it: a foreign executor, the manual lane, and a Redis that starts again."""

from __future__ import annotations

import json
from contextlib import suppress
from decimal import Decimal

import redis
import trio

from commands.clients.embedded_redis import PrivateRedis, private_redis_server
from simulator import RunningSimulator
from tests.integration.daemon_process import daemon_process
from tests.integration.execution_load import opening
from tests.integration.pipeline import PLANS, Pipeline, full_close
from tests.integration.played_governor import PlayedGovernor, VenueOrder, id_at_exchange, permit_of
from tests.integration.surroundings import SYMBOLS, environment, is_ready, stream_is_trusted, trade
from tests.integration.under_fire import keep_what_is_acknowledged
from tests.integration.waiting import until

DRY_RUN = "quantum:stream:executor.dry_run"
MANUAL, ENABLED = f"{PLANS}.manual", "quantum:manual_lane:enabled"
ORDERS = "/fapi/v1/order"


async def test_a_dry_run_beside_a_foreign_executor_takes_no_permit_and_ends_no_plan(
    redis_server: str, pipeline: Pipeline, simulator: RunningSimulator
) -> None:
    """The foreign one reads by the group of executors, and consumes both permits of each plan."""
    governor, exchange = PlayedGovernor(pipeline), simulator.exchange
    environ = environment(redis_server, simulator, {"P33_EXECUTOR": "dry_run"})
    pipeline.redis.xgroup_create(PLANS, "intent_executor", "$", mkstream=True)
    async with daemon_process(environ) as process:
        await process.ready()
        await governor.executor_reads("intent_executor_shadow")
        await governor.has_price(SYMBOLS[-1])
        shown: dict[str, dict[str, str]] = {}
        for number, symbol in enumerate(SYMBOLS):
            plan_id, fields = f"plan-{number}", opening(exchange.symbol(symbol))
            governor.publish(plan_id, fields)
            pipeline.redis.xreadgroup("intent_executor", "theirs-1", {PLANS: ">"})
            # As foreign executors do, it acts some milliseconds behind the permits.
            await until(lambda plan_id=plan_id: _dry_run(pipeline, plan_id), "the dry run")  # type: ignore[misc]
            assert pipeline.redis.getdel(f"quantum:permit:{plan_id}") is not None
            permit = json.loads(pipeline.redis.getdel(f"quantum:permit:p33:{plan_id}"))
            order = trade(exchange, symbol, permit["order_side"], fields["qty"])
            pipeline.publish_fill(plan_id, order)
            await pipeline.ledger_reaches(symbol, f"{Decimal(fields['qty']).normalize():f}")
            row = _dry_run(pipeline, plan_id)
            assert row is not None
            shown[plan_id] = row
        assert {(row["executed"], row["would_execute"], row["error"]) for row in shown.values()} == {
            ("false", "true", "")
        }
        governor.read_results()
        assert all(len(rows) == 1 for rows in governor.results.values())
        assert set(pipeline.redis.scan_iter("quantum:executor:*")) == set()
        assert process.alive
    assert [each for each in exchange.requests.records(path=ORDERS) if each.method == "POST"] == []


def _dry_run(pipeline: Pipeline, plan_id: str) -> dict[str, str] | None:
    return next((row for _, row in pipeline.entries(DRY_RUN) if row["plan_id"] == plan_id), None)


async def test_the_manual_lane_executes_while_its_switch_is_on_and_ends_by_itself(
    redis_server: str, pipeline: Pipeline, simulator: RunningSimulator
) -> None:
    """P3.3 reads `apply.plan` alone, so each plan here gets the permit of one like it there."""
    governor, symbols = PlayedGovernor(pipeline), iter(SYMBOLS)
    environ = environment(redis_server, simulator, {"P33_EXECUTOR": "on", "EXEC_MANUAL_LANE": "true"})

    async def publish(plan_id: str, symbol: str) -> None:
        fields, model_id = _opening(simulator, symbol), f"{plan_id}-model"
        pipeline.publish_plan(model_id, fields)
        await pipeline.permit(model_id)
        text = pipeline.redis.get(f"quantum:permit:p33:{model_id}").replace(model_id, plan_id)
        pipeline.redis.set(f"quantum:permit:p33:{plan_id}", text, ex=60)
        governor.grant(plan_id, fields)
        pipeline.publish(MANUAL, {"plan_id": plan_id, **fields})

    async with daemon_process(environ) as process:
        await process.ready()
        await governor.executor_reads()
        await governor.has_price(SYMBOLS[-1])
        await until(lambda: pipeline.redis.exists(MANUAL), "the lane's stream")
        for plan_id, switch in (("missing", None), ("endless", "1"), ("off", "0")):
            if switch is not None:
                pipeline.redis.set(ENABLED, switch, ex=60 if switch == "0" else None)
            await publish(plan_id, next(symbols))
            await trio.sleep(0.5)  # the lane looks at its switch each 0.1 s
            assert governor.result_now(plan_id) is None, switch
        pipeline.redis.set(ENABLED, "1", px=2000)
        for plan_id in ("missing", "endless", "off"):
            result = await governor.result(plan_id)
            assert result["error"] == "", result["error"]
        await until(lambda: not pipeline.redis.exists(ENABLED), "its switch has ended")
        await publish("late", next(symbols))
        await trio.sleep(1.0)
        assert governor.result_now("late") is None
        assert process.alive and "Actor failed" not in process.output
    assert len(_orders(simulator)) == 3


async def _send(
    governor: PlayedGovernor, simulator: RunningSimulator, sent: list[str], stopped: trio.CancelScope
) -> None:
    """Open and close each symbol in turn, 30 a second; plans that Redis has not taken are sent again."""
    with stopped:
        while True:
            symbol = SYMBOLS[len(sent) % len(SYMBOLS)]
            fields = full_close(symbol) if len(sent) // len(SYMBOLS) % 2 else _opening(simulator, symbol)
            plan_id = f"plan-{len(sent)}"
            pipe = governor.pipeline.redis.pipeline(transaction=True)
            pipe.xadd(PLANS, {"plan_id": plan_id, **fields})
            pipe.set(f"quantum:permit:{plan_id}", permit_of(fields), ex=60)
            with suppress(redis.RedisError):
                pipe.execute()
                sent.append(plan_id)
            await trio.sleep(1 / 30)


def _opening(simulator: RunningSimulator, symbol: str) -> dict[str, str]:
    return opening(simulator.exchange.symbol(symbol))


async def test_a_redis_that_starts_again_under_load_leaves_one_order_a_plan_and_refuses_the_older_plans(
    simulator: RunningSimulator,
) -> None:
    faults = simulator.exchange.faults
    faults.rest_latency_ms, faults.fills_per_order, faults.fill_interval_ms = 20.0, 2, 50.0
    async with private_redis_server(append_only=True) as server:
        pipeline = Pipeline(server.url)
        keep_what_is_acknowledged(pipeline)
        environ = environment(
            server.url, simulator, {"P33_EXECUTOR": "on", "EXEC_UNKNOWN_SETTLE_SEC": "10.1"}
        )
        async with daemon_process(environ) as process:
            url = await process.ready()
            governor, sent = PlayedGovernor(pipeline), list[str]()
            await governor.executor_reads()
            await governor.has_price(SYMBOLS[-1])
            await stream_is_trusted(url)
            sending = trio.CancelScope()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_send, governor, simulator, sent, sending)
                await until(lambda: len(sent) > 40, "plans are sent")
                await _start_again(server, pipeline)
                before = len(sent)
                await until(lambda: len(sent) > before + 90, "plans are sent")
                sending.cancel()
            await is_ready(lambda: url, 20)
            after = f"plan-{len(sent)}"
            await stream_is_trusted(url, 20)
            governor.publish(after, _opening(simulator, SYMBOLS[len(sent) % len(SYMBOLS)]))
            await governor.all_end([*sent, after], 60)
            await until(governor.nothing_open, "no order is open and no symbol held", 40)
            governor.assert_results_fit(_orders(simulator), [*sent, after])
            for symbol in SYMBOLS:
                held = simulator.exchange.position(symbol).amount
                assert Decimal(pipeline.ledger_amount(symbol) or 0) == held, symbol
            ends = {rows[-1]["error"] for rows in governor.results.values()}
            assert "recovering" in ends or "permit_denied (P3.3: recovering)" in ends, ends
            assert process.alive and "Actor failed" not in process.output


async def _start_again(server: PrivateRedis, pipeline: Pipeline) -> None:
    """Kill Redis, and start it on what it has acknowledged."""
    await server.kill()
    await server.start()
    keep_what_is_acknowledged(pipeline)


async def test_an_order_of_which_redis_has_lost_the_record_is_an_orphan_and_its_symbol_held(
    simulator: RunningSimulator,
) -> None:
    """Redis comes back empty while an order is filled."""
    faults = simulator.exchange.faults
    async with private_redis_server() as server:
        pipeline = Pipeline(server.url)
        environ = environment(server.url, simulator, {"P33_EXECUTOR": "on"})
        async with daemon_process(environ) as process:
            url = await process.ready()
            governor = PlayedGovernor(pipeline)
            await governor.executor_reads()
            await governor.has_price(SYMBOLS[0])
            await stream_is_trusted(url)
            governor.publish("plan-1", _opening(simulator, SYMBOLS[0]))
            assert (await governor.result("plan-1"))["executed"] == "true"
            faults.rest_latency_ms = 0.0
            await server.kill()
            await server.start()
            hold = f"quantum:reconcile:hold:{SYMBOLS[0]}"
            await until(lambda: pipeline.redis.get(hold) == "1", "the orphan's symbol is held", 20)
            reason = pipeline.redis.get(f"quantum:reconcile:hold_reason:{SYMBOLS[0]}")
            signature = pipeline.redis.get(f"quantum:reconcile:hold_sig:{SYMBOLS[0]}")
            assert (reason, signature) == ("orphan_order", f"exec:{id_at_exchange('plan-1')}")
            assert process.alive and "Actor failed" not in process.output
    assert len(_orders(simulator)) == 1


def _orders(simulator: RunningSimulator) -> list[VenueOrder]:
    return [
        VenueOrder(order.order_id, order.client_order_id, name, order.status, order.executed)
        for name in SYMBOLS
        for order in simulator.exchange.orders.of(name)
    ]
