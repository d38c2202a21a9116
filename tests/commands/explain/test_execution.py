"""The execution of a plan on one time line, from what the executor's scripts and audit leave."""

from __future__ import annotations

import json
from typing import Any

from commands.explain import explain
from tests.brain.cases import case
from tests.commands.recording import Recording

PLAN_ID, CLIENT_ID = "plan-1", "p33-0a1b"
AUDIT, ORDER = "quantum:stream:executor.audit", f"quantum:executor:order:{PLAN_ID}"
GOVERNOR = '{"granted": true, "created_at": 1.5}'


def lines_of(service: Recording, plan_id: str = PLAN_ID) -> list[str]:
    """Return the lines of the section on the execution, each without its time."""
    shown = json_of(service, plan_id)
    return [] if "execution" not in shown else [each["what"] for each in shown["execution"]["timeline"]]


def json_of(service: Recording, plan_id: str = PLAN_ID) -> dict[str, Any]:
    assert explain(service.environ, plan_id, as_json=True) == 0
    shown: dict[str, Any] = json.loads(service.capsys.readouterr().out)
    return shown


def step(service: Recording, name: str, **fields: str) -> None:
    order = {"plan_id": PLAN_ID, "symbol": "BTCUSDT", "client_order_id": CLIENT_ID}
    service.append("executor.audit", {"step": name, **order, **fields})


def begin(service: Recording, **changes: str) -> None:
    fields = {
        "side": "SELL", "leg": "BOTH", "kind": "close", "quantity": "0.028", "reduce_only": "true",
        "timestamp_ms": "1760000000000", "recv_window_ms": "3000", "waited_ms": "12",
        "permit:Governor": GOVERNOR, "permit:P3.3": "{}",
    }  # fmt: skip
    step(service, "begin", **fields | changes)


def result(service: Recording, **changes: str) -> None:
    fields = {
        "plan_id": PLAN_ID, "executed": "true", "order_id": "17", "order_status": "FILLED", "qty": "0.028",
        "filled_qty": "0.028", "avg_price": "60000.1", "error": "",
    }  # fmt: skip
    service.append("apply.result", fields | changes)


def record(service: Recording, **changes: str) -> None:
    fields = {"state": "final", "symbol": "BTCUSDT", "order_id": "17", "client_order_id": CLIENT_ID}
    service.redis.hset(ORDER, items=[text for pair in (fields | changes).items() for text in pair])


async def test_an_executed_plan_has_all_lines_from_its_publication_to_its_booking(service: Recording) -> None:
    await service.decide(PLAN_ID, case())
    begin(service)
    step(service, "finish", source="answer", status="FILLED", cumulative="0.028", error="")
    result(service)
    record(service)
    booked_ms = service.redis.time()[0] * 1000 + 2000
    service.redis.hset("quantum:p33:orders:BTCUSDT", "17", f"0.028|{booked_ms}")
    assert lines_of(service) == [
        "The plan was published.",
        "P3.3 allows it: sanity_checks_passed.",
        "The permits are consumed after 12 ms of waiting: Governor, P3.3.",
        "An order is begun: SELL 0.028 (close, reduce-only), client order id p33-0a1b; the exchange refuses "
        "a request that arrives after 2025-10-09T08:53:23.000Z.",
        "By the exchange's answer the order is final: FILLED, 0.028 filled.",
        "Result: order 17 FILLED, 0.028 of 0.028 filled at 60000.1.",
        "Booked in the ledger: 0.028 of order 17.",
    ]
    execution = json_of(service)["execution"]
    assert execution["permits"] == {"Governor": GOVERNOR, "P3.3": "{}"}
    assert execution["record"]["state"] == "final"
    assert execution["held"] is False


async def test_an_order_of_unknown_outcome_shows_each_query_and_the_hold(service: Recording) -> None:
    await service.decide(PLAN_ID, case())
    begin(service)
    step(service, "answer", source="answer", status="", cumulative="0", error="")
    step(service, "answer", answer="unknown: reset")
    step(service, "hold", reason=f"execution_unknown:{PLAN_ID}")
    step(service, "query", answer="-2013", lacking="settle time; second query")
    step(service, "query", answer="timeout", lacking="")
    record(service, state="unknown", order_id="")
    service.redis.set("quantum:reconcile:hold_sig:BTCUSDT", f"exec:{CLIENT_ID}")
    assert lines_of(service)[4:] == [
        "By the exchange's answer it is not known whether there is an order.",
        "The answer to the request does not show what became of it: unknown: reset.",
        "The executor holds the symbol: execution_unknown:plan-1.",
        "The exchange was asked for the order: no such order; for a proof that there is none it lacks settle "
        "time; second query.",
        "The exchange was asked for the order: timeout.",
    ]
    assert json_of(service)["execution"]["held"] is True
    step(service, "event", source="event", status="PARTIALLY_FILLED", cumulative="0.01", error="")
    step(service, "release")
    step(service, "finish", source="query", status="", cumulative="0", error="order_not_found")
    assert lines_of(service)[-3:] == [
        "By an event of the private stream the order goes on: PARTIALLY_FILLED, 0.01 filled.",
        "The executor releases the symbol.",
        "By a query of the order the order is final: order_not_found.",
    ]


async def test_a_plan_that_the_governor_blocks_shows_the_block_and_the_refusal(service: Recording) -> None:
    await service.decide(PLAN_ID, case())
    now_sec = service.redis.time()[0]
    block = json.dumps({"reason": "symbol_cooldown", "timestamp": now_sec + 1, "symbol": "BTCUSDT"})
    service.redis.set(f"quantum:governor:block:{PLAN_ID}", block)
    step(service, "refuse", error="permit_denied (Governor: symbol_cooldown)", waited_ms="3")
    result(service, executed="false", error="permit_denied (Governor: symbol_cooldown)")
    lines = lines_of(service)
    assert "The Governor blocks the plan: symbol_cooldown." in lines
    assert "No order after 3 ms of waiting: permit_denied (Governor: symbol_cooldown)." in lines
    assert "Result: not executed, permit_denied (Governor: symbol_cooldown)." in lines
    assert json_of(service)["execution"]["governor_block"] == block
    service.redis.set(f"quantum:governor:block:{PLAN_ID}", "[")
    assert "The Governor's block cannot be read: [." in lines_of(service)


async def test_a_stop_loss_update_begins_no_order(service: Recording) -> None:
    await service.decide(PLAN_ID, case())
    begin(service, kind="none")
    step(service, "finish", source="", status="", cumulative="0", error="nothing_to_execute")
    assert lines_of(service)[2:] == [
        "The permits are consumed after 12 ms of waiting: Governor, P3.3.",
        "By the executor the order is final: nothing_to_execute.",
    ]


async def test_an_order_that_was_found_without_a_record_is_explained_without_a_plan(
    service: Recording,
) -> None:
    step(service, "orphan", order_id="17")
    record(service, state="orphan")
    assert lines_of(service) == ["An order of this account's executor was found without a record: 17."]
    shown = json_of(service)
    assert (shown["state"], shown["symbol"]) == ("known to the executor alone", "BTCUSDT")


async def test_a_plan_that_p33_has_not_decided_shows_its_refusal(service: Recording) -> None:
    service.publish(PLAN_ID)
    step(service, "refuse", error="malformed_plan", waited_ms="")
    assert lines_of(service) == ["The plan was published.", "No order: malformed_plan."]
    assert json_of(service)["state"] == "not read yet"


async def test_on_a_terminal_the_execution_is_a_section_and_the_governors_permit_is_in_it(
    service: Recording,
) -> None:
    await service.decide(PLAN_ID, case())
    begin(service)
    record(service, state="sending")
    assert explain(service.environ, PLAN_ID, as_json=False) == 0
    text = " ".join(service.capsys.readouterr().out.split())
    before, _, section = text.partition(" Time line ")
    assert before and "The permits are consumed after 12 ms of waiting" in section
    assert f"Governor's permit {GOVERNOR} record now state sending, symbol BTCUSDT" in section


async def test_a_plan_that_another_executor_executed_shows_its_result_and_whose_it_is(
    service: Recording,
) -> None:
    await service.decide(PLAN_ID, case())
    service.append(
        "apply.result",
        {
            "plan_id": PLAN_ID, "symbol": "BTCUSDT", "decision": "EXECUTE", "executed": "True",
            "source": "apply_layer",
            "steps_results": '[{"order_id": 17, "executed_qty": "0.028", "status": "FILLED"}]',
        },
    )  # fmt: skip
    service.redis.set(f"quantum:governor:block:{PLAN_ID}", "{}")
    shown = json_of(service)
    lines = [each["what"] for each in shown["execution"]["timeline"]]
    assert lines[-1] == "Result: order 17 FILLED, 0.028 filled."
    assert shown["execution"]["record"] == {}
    parts = {each["name"]: (each["state"], each["text"]) for each in shown["chain"]}
    assert parts["executor"] == (
        "elsewhere",
        "another one (apply_layer): Result: order 17 FILLED, 0.028 filled.",
    )
    assert parts["ledger"][0] == "not yet"
    service.redis.hset("quantum:p33:orders:BTCUSDT", "17", "0.028|1760000000123")
    parts = {each["name"]: (each["state"], each["text"]) for each in json_of(service)["chain"]}
    assert parts["ledger"] == ("here", "0.028 of order 17")


async def test_keys_of_a_wrong_type_leave_the_rest_of_the_explanation(service: Recording) -> None:
    await service.decide(PLAN_ID, case())
    service.redis.set(AUDIT, "x")
    service.redis.set(ORDER, "x")
    assert "execution" not in json_of(service)
