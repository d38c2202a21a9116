"""A plan's way through the chain, found by its intent, plan, order or client order id."""

from __future__ import annotations

import json
from typing import Any

import pytest

from commands.explain import explain
from tests.brain.cases import case
from tests.brain.governor.cases import closing
from tests.commands.recording import Recording

PLAN_ID, CLIENT_ID, ORDER_ID = "81c0de7731aa0f42", "p33-0a1b2c3d4e5f", "8886859"
INTENT = {"symbol": "BTCUSDT", "action": "SELL", "quantity": "0.03"}
TRADES, EXITS = "quantum:stream:trade.intent", "quantum:stream:exit.intent"


def json_of(service: Recording, subject: str) -> dict[str, Any]:
    assert explain(service.environ, subject, as_json=True) == 0
    shown: dict[str, Any] = json.loads(service.capsys.readouterr().out)
    return shown


def text_of(service: Recording, subject: str) -> str:
    assert explain(service.environ, subject, as_json=False) == 0
    return " ".join(service.capsys.readouterr().out.split())


def refused(service: Recording, subject: str) -> str:
    assert explain(service.environ, subject, as_json=False) == 1
    return service.capsys.readouterr().err


def lines_of(shown: dict[str, Any]) -> list[str]:
    timeline = shown.get("execution", shown)["timeline"]
    return [each["what"] for each in timeline]


def parts_of(shown: dict[str, Any]) -> dict[str, tuple[str, str]]:
    return {each["name"]: (each["state"], each["text"]) for each in shown["chain"]}


def audited(service: Recording, entry_id: str, stream: str = TRADES, **changes: str) -> str:
    """Append the bridge's audit entry of an intent, with the fields of docs/contract.md."""
    fields = {
        "entry_id": entry_id, "stream": stream.rpartition(":")[2], "symbol": "BTCUSDT", "side": "SELL",
        "outcome": "plan", "reason": "", "plan_id": PLAN_ID, "mark_price": "60000",
        "record": '{"mark_price":"60000"}',
    }  # fmt: skip
    return service.append("intent.audit", fields | changes)


async def whole_chain(service: Recording) -> str:
    """Leave all traces of one intent that became an executed plan; return the intent's id."""
    entry_id = service.append("trade.intent", INTENT)
    audited(service, entry_id)
    await service.decide(PLAN_ID, case())
    service.judge(PLAN_ID, closing())
    order = {"plan_id": PLAN_ID, "symbol": "BTCUSDT", "client_order_id": CLIENT_ID}
    service.append(
        "executor.audit",
        {
            "step": "begin", **order, "side": "SELL", "quantity": "0.028", "kind": "close",
            "timestamp_ms": "1760000000000", "recv_window_ms": "3000", "waited_ms": "2",
            "permit:Governor": "{}", "permit:P3.3": "{}",
        },
    )  # fmt: skip
    finish = {"source": "event", "status": "FILLED", "cumulative": "0.028", "order_id": ORDER_ID, "error": ""}
    service.append("executor.audit", {"step": "finish", **order, **finish})
    service.append(
        "apply.result",
        {
            **order, "executed": "true", "source": "intent_executor", "order_id": ORDER_ID,
            "order_status": "FILLED", "qty": "0.028", "filled_qty": "0.028", "side": "SELL",
        },
    )  # fmt: skip
    record = {"state": "final", "symbol": "BTCUSDT", "order_id": ORDER_ID, "client_order_id": CLIENT_ID}
    service.redis.hset(
        f"quantum:executor:order:{PLAN_ID}", items=[text for pair in record.items() for text in pair]
    )
    service.redis.set(f"quantum:executor:client:{CLIENT_ID}", PLAN_ID)
    now_ms = service.redis.time()[0] * 1000 + 5000
    service.redis.hset("quantum:p33:orders:BTCUSDT", ORDER_ID, f"0.028|{now_ms}")
    service.append(
        "reconcile.events", {"event": "DRIFT", "symbol": "BTCUSDT", "plan_id": PLAN_ID, "why": "late"}
    )
    service.append("reconcile.events", {"event": "DRIFT", "symbol": "BTCUSDT", "plan_id": "another"})
    return entry_id


async def test_one_time_line_from_the_intent_to_the_booking_with_durations(service: Recording) -> None:
    entry_id = await whole_chain(service)
    shown = json_of(service, PLAN_ID)
    lines = lines_of(shown)
    assert lines[:2] == [
        "The intent was published on trade.intent.",
        f"The bridge makes it plan {PLAN_ID}.",
    ]
    assert lines[2] == "The plan was published."
    assert {each.partition(":")[0] for each in lines[3:5]} == {"The Governor grants it", "P3.3 allows it"}
    assert lines[5].startswith("The permits are consumed")
    assert lines[7] == "By an event of the private stream the order is final: FILLED, 0.028 filled."
    assert lines[8].startswith(f"Result: order {ORDER_ID} FILLED, 0.028 of 0.028 filled")
    assert lines[9].startswith("They differ without a hold")
    assert lines[10:] == [f"Booked in the ledger: 0.028 of order {ORDER_ID}."]
    after = [each["after_ms"] for each in shown["execution"]["timeline"]]
    assert after[0] is None and all(each >= 0 for each in after[1:]) and after[-1] >= 4000
    assert {state for state, _ in parts_of(shown).values()} == {"here"}
    assert shown["intent"]["entry_id"] == entry_id and shown["intent"]["record"] == {"mark_price": "60000"}
    text = text_of(service, PLAN_ID)
    assert f"intent {entry_id} of trade.intent, made a plan by the bridge" in text
    assert "+4." in text or "+5." in text  # of the booking, in seconds


async def test_intent_order_and_client_order_id_lead_to_the_same_plan(service: Recording) -> None:
    entry_id = await whole_chain(service)
    plan_entry, result_entry = service.first("apply.plan"), service.first("apply.result")
    for subject in (
        entry_id, PLAN_ID, PLAN_ID[:8], CLIENT_ID, CLIENT_ID[:9], ORDER_ID, plan_entry, result_entry,
        f"  {PLAN_ID}\n", f'"{ORDER_ID}",', f"{PLAN_ID[:7]}\n   {PLAN_ID[7:]}",
    ):  # fmt: skip
        assert json_of(service, subject)["plan_id"] == PLAN_ID, subject


async def test_a_client_order_id_is_found_without_the_executors_key(service: Recording) -> None:
    await whole_chain(service)
    service.redis.delete(f"quantum:executor:client:{CLIENT_ID}")
    assert json_of(service, CLIENT_ID)["plan_id"] == PLAN_ID
    step = {"step": "orphan", "symbol": "BTCUSDT", "plan_id": "other", "client_order_id": "p33-0a1bff"}
    service.append("executor.audit", step)
    assert "several orders begin with p33-0a1b, such as" in refused(service, "p33-0a1b")


async def test_an_order_of_no_plan_leads_to_its_symbols_case(service: Recording) -> None:
    orders = json.dumps([{"order_id": "99", "client_order_id": "web_1", "cause": "manual", "side": "BUY"}])
    service.append("reconcile.events", {"event": "MANUAL_REQUIRED", "symbol": "ETHUSDT", "orders": orders})
    shown = json_of(service, "99")
    assert shown["symbol"] == "ETHUSDT" and shown["order_id"] == "99"
    assert "Order 99 is of no plan that is known here" in text_of(service, "99")
    assert json_of(service, "web_1")["symbol"] == "ETHUSDT"


async def test_a_refused_intent_is_explained_by_itself(service: Recording) -> None:
    entry_id = service.append("trade.intent", INTENT)
    audited(service, entry_id, outcome="refused", reason="anti_churn", plan_id="", last_close="1760000000")
    shown = json_of(service, entry_id)
    assert (shown["outcome"], shown["reason"], shown["plan_id"]) == ("refused", "anti_churn", None)
    assert shown["fields"] == INTENT
    assert lines_of(shown) == [
        "The intent was published on trade.intent.",
        "The bridge refuses it: anti_churn.",
    ]
    text = text_of(service, entry_id)
    assert text.startswith(f"Intent {entry_id} BTCUSDT REFUSED anti_churn")
    assert "last_close 1760000000" in text


async def test_an_exit_intent_is_found_by_its_own_id(service: Recording) -> None:
    entry_id = service.append("exit.intent", {**INTENT, "intent_id": "exit-77-long"})
    assert json_of(service, "exit-77-long")["finding"].startswith("No bridge reads its stream")
    refusal = {"outcome": "refused", "reason": "flat_close"}
    audited(service, entry_id, EXITS, **refusal, record='{"fields":{"intent_id":"exit-77-long"}}')
    for subject in ("exit-77-long", "exit-77", entry_id):
        assert json_of(service, subject)["reason"] == "flat_close", subject
    record = '{"fields":{"intent_id":"exit-77-short"}}'
    audited(service, service.append("exit.intent", INTENT), EXITS, **refusal, record=record)
    assert "several intents begin with exit-77, such as exit-77-long, exit-77-short" in refused(
        service, "exit-77"
    )


async def test_an_intent_of_another_bridge_names_the_plans_that_may_be_its(service: Recording) -> None:
    entry_id = service.append("trade.intent", INTENT)
    service.redis.xgroup_create(TRADES, "quantum:group:intent_bridge", id="0")
    assert json_of(service, entry_id)["finding"] == "The bridge has not read it yet."
    service.redis.xreadgroup("quantum:group:intent_bridge", "theirs", {TRADES: ">"})
    assert "is not done with it" in json_of(service, entry_id)["finding"]
    service.redis.xack(TRADES, "quantum:group:intent_bridge", entry_id)
    service.publish("theirs", {"symbol": "BTCUSDT", "source": "intent_bridge", "decision": "EXECUTE"})
    service.publish("others", {"symbol": "BTCUSDT", "source": "harvest", "decision": "EXECUTE"})
    shown = json_of(service, entry_id)
    assert "another bridge played the role" in shown["finding"] and shown["candidates"] == ["theirs"]


async def test_the_shadows_outcome_stands_beside_the_plan_of_the_bridge_that_acts(service: Recording) -> None:
    entry_id = service.append("trade.intent", INTENT)
    audited(service, entry_id, mode="shadow")
    shown = json_of(service, entry_id)
    assert shown["shadow"] is True and "in its shadow: another bridge acts" in shown["finding"]
    assert lines_of(shown)[1] == f"The bridge, in its shadow, makes it plan {PLAN_ID}."


@pytest.mark.parametrize(
    ("older", "newer", "state"),
    [(False, True, "trimmed"), (True, False, "not yet"), (True, True, "silent"), (False, False, "silent")],
)
async def test_a_part_without_a_trace_says_why(
    service: Recording, older: bool, newer: bool, state: str
) -> None:
    if older:
        service.append("executor.audit", {"step": "refuse", "plan_id": "before"}, "1700000000000-0")
    await service.decide(PLAN_ID, case())
    if newer:
        service.append("executor.audit", {"step": "refuse", "plan_id": "after"}, "9700000000000-0")
    found, text = parts_of(json_of(service, PLAN_ID))["executor"]
    assert found == state, text
    said = {"trimmed": "trimmed: what is kept of the executor begins at 2277-", "not yet": "no trace yet"}
    assert text.startswith(said.get(state, "no" if older else "nothing of the executor is in this Redis"))


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("governor:block", '{"reason":"symbol_cooldown"}', "another one refuses it: symbol_cooldown"),
        ("permit", '{"granted":true}', "another one grants it"),
    ],
)  # fmt: skip
async def test_a_foreign_governor_is_known_by_what_it_leaves(
    service: Recording, key: str, value: str, text: str
) -> None:
    await service.decide(PLAN_ID, case())
    service.redis.set(f"quantum:{key}:{PLAN_ID}", value)
    assert parts_of(json_of(service, PLAN_ID))["Governor"] == ("elsewhere", text)


async def test_a_foreign_governors_silence_is_read_from_the_result(service: Recording) -> None:
    await service.decide(PLAN_ID, case())
    error = "permit_timeout (missing: Governor)"
    service.append(
        "apply.result", {"plan_id": PLAN_ID, "executed": "False", "details": json.dumps({"error": error})}
    )
    shown = json_of(service, PLAN_ID)
    assert parts_of(shown)["Governor"] == ("elsewhere", f"another one gives no permit in time: {error}")
    assert lines_of(shown)[-1] == f"Result: not executed, {error}."


async def test_streams_of_a_wrong_type_leave_the_rest(service: Recording) -> None:
    await service.decide(PLAN_ID, case())
    for name in ("intent.audit", "governor.audit", "executor.audit", "reconcile.events", "trade.intent"):
        service.redis.set(f"quantum:stream:{name}", "x")
    assert json_of(service, PLAN_ID)["plan_id"] == PLAN_ID
    assert "no trace of 1760000000000-0" in refused(service, "1760000000000-0")


async def test_a_stream_that_the_redis_user_may_not_read_is_named(service: Recording) -> None:
    await service.decide(PLAN_ID, case())
    service.append("executor.audit", {"step": "refuse", "plan_id": "before"}, "1700000000000-0")
    names = ("p33:*", "permit*", "stream:permit.audit", "stream:apply.*", "position:*", "reconcile:*")
    keys = (f"~quantum:{name}" for name in names)
    service.redis.acl_setuser("limited", enabled=True, nopass=True, commands=["+@all"], reset=True)
    service.redis.execute_command("ACL", "SETUSER", "limited", "resetkeys", *keys)  # type: ignore[no-untyped-call]
    url = service.environ["REDIS_URL"].replace("unix://", "unix://limited:x@")
    assert explain({**service.environ, "REDIS_URL": url}, PLAN_ID, as_json=True) == 0
    parts = parts_of(json.loads(service.capsys.readouterr().out))
    assert parts["executor"] == ("silent", "the Redis user may not read what the executor leaves")
