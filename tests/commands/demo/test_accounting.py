"""The final accounting finds each kind of fault in a record that is otherwise right."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import msgspec
import pytest

from commands.demo import record as record_module
from commands.demo.accounting import Caused, Found, differences, ledger_differences
from commands.demo.exchange_client import ExecutedOrder
from commands.demo.keys import BRIDGE, EXECUTOR, EXITS, GOVERNOR, KEYS
from commands.demo.other_services import SymbolInRedis
from commands.demo.record import Record, Step

STREAMS = {
    "trade": KEYS.intents, "exit": EXITS, "answer": BRIDGE.audit, "plan": KEYS.plans,
    "governor": GOVERNOR.audit, "decision": KEYS.audit, "executor": EXECUTOR.audit,
    "result": KEYS.results, "event": KEYS.events, "dead": KEYS.dead_plans,
}  # fmt: skip
Entry = tuple[str, int, dict[str, str]]
EXECUTED = {"executed": "true", "error": "", "order_status": "FILLED", "client_order_id": "p33-1"}
REFUSED = {"executed": "false", "error": "permit_denied (P3.3: no_position)", "client_order_id": ""}
#: One intent that is executed, one that becomes no plan, one plan that P3.3 denies, and an unreadable one.
ENTRIES: tuple[Entry, ...] = (
    ("trade", 10, {"symbol": "BTCUSDT"}),
    ("exit", 11, {"symbol": "ETHUSDT"}),
    (
        "answer",
        13,
        {"entry_id": "10-0", "stream": "trade.intent", "outcome": "plan", "plan_id": "a", "reason": ""},
    ),
    (
        "answer",
        14,
        {
            "entry_id": "11-0",
            "stream": "exit.intent",
            "outcome": "refused",
            "plan_id": "",
            "reason": "flat_close",
        },
    ),
    ("plan", 13, {"plan_id": "a", "symbol": "BTCUSDT"}),
    ("plan", 15, {"plan_id": "b", "symbol": "ETHUSDT"}),
    ("plan", 16, {"plan_id": "p33:c", "symbol": "BTCUSDT"}),
    ("governor", 17, {"plan_id": "a"}),
    ("decision", 18, {"plan_id": "a"}),
    ("decision", 19, {"plan_id": "b"}),
    ("executor", 20, {"plan_id": "a", "step": "begin", "permit:P3.3": "{}"}),
    ("result", 320, {"plan_id": "a", **EXECUTED}),
    ("result", 321, {"plan_id": "b", **REFUSED}),
    ("dead", 322, {"plan_id": "p33:c"}),
    ("event", 323, {"event": "HOLD_SET", "symbol": "SOLUSDT"}),
)
FOUND = Found(
    orders=[
        ExecutedOrder("p33-1", "BTCUSDT", Decimal(1)),
        ExecutedOrder("web_7", "SOLUSDT", Decimal(2)),
    ],
    positions={"BTCUSDT": Decimal(1), "SOLUSDT": Decimal(2)},
    symbols={
        "BTCUSDT": SymbolInRedis(Decimal(1), Decimal(1), 1),
        "ETHUSDT": SymbolInRedis(Decimal(0), Decimal(0), 1, case="REPAIRED"),
        "SOLUSDT": SymbolInRedis(Decimal(0), Decimal(2), 1, case="MANUAL_REQUIRED", held=True),
    },
    counted=2,
)
CAUSED = Caused({"SOLUSDT": Decimal(2)})


def _record(*entries: Entry) -> Record:
    record = Record()
    record.direct.add("b")
    for stream, at_ms, fields in entries or ENTRIES:
        record.take(STREAMS[stream], f"{at_ms}-0", fields)
    return record


def _differences(
    record: Record | None = None, found: Found = FOUND, caused: Caused = CAUSED, *, bridged: bool = True
) -> list[str]:
    ledgers = ledger_differences(found, caused)
    return [*ledgers, *differences(record or _record(), found, caused, bridged=bridged)]


def _without(stream: str, at_ms: int) -> Record:
    left = [one for one in ENTRIES if one[:2] != (stream, at_ms)]
    assert len(left) == len(ENTRIES) - 1
    return _record(*left)


def _with(*entries: Entry) -> Record:
    return _record(*ENTRIES, *entries)


def test_a_record_in_which_all_adds_up_has_no_differences() -> None:
    assert _differences() == []


def test_steps_take_from_their_cause_to_their_entry() -> None:
    took = {step: list(values) for step, values in _record().step_ms.items() if values}
    assert took == {Step.PLANS: [3.0], Step.GOVERNOR: [4.0], Step.P33: [5.0, 4.0], Step.ORDERS: [300.0]}


@pytest.mark.parametrize(
    ("record", "found"),
    [
        (_without("answer", 14), ["intent exit.intent/11-0 has neither plan nor refusal"]),
        (
            _with(
                (
                    "answer",
                    15,
                    {
                        "entry_id": "11-0",
                        "stream": "exit.intent",
                        "outcome": "plan",
                        "plan_id": "b",
                        "reason": "",
                    },
                )
            ),
            ["intent exit.intent/11-0 has 2 outcomes: flat_close, b"],
        ),
        (
            _with(
                ("exit", 12, {"symbol": "ETHUSDT"}),
                (
                    "answer",
                    15,
                    {
                        "entry_id": "12-0",
                        "stream": "exit.intent",
                        "outcome": "plan",
                        "plan_id": "d",
                        "reason": "",
                    },
                ),
            ),
            ["plan d of intent exit.intent/12-0 was not published", "plan d has no result"],
        ),
        (_with(("plan", 99, {"plan_id": "a", "symbol": "BTCUSDT"})), ["plan a was published 2 times"]),
        (_with(("decision", 99, {"plan_id": "a"})), ["plan a was decided 2 times"]),
        (_without("result", 321), ["plan b has no result", "P3.5 has counted 2 of 1 results"]),
        (
            _with(("plan", 99, {"plan_id": "d"}), ("result", 400, {"plan_id": "d", **REFUSED})),
            ["plan d is of no intent", "P3.5 has counted 2 of 3 results"],
        ),
        (
            _with(("result", 400, {"plan_id": "b", **EXECUTED})),
            ["order p33-1 is of 2 plans", "P3.5 has counted 2 of 3 results"],
        ),
        (
            _with(("result", 400, {"plan_id": "b", **EXECUTED, "client_order_id": "p33-2"})),
            ["a result names order p33-2, which there is not", "P3.5 has counted 2 of 3 results"],
        ),
    ],
)
def test_faults_of_the_record(record: Record, found: list[str]) -> None:
    assert _differences(record) == found


def _changed(symbol: str, **changes: object) -> Found:
    changed = msgspec.structs.replace(FOUND.symbols[symbol], **changes)
    return msgspec.structs.replace(FOUND, symbols={**FOUND.symbols, symbol: changed})


def _orders(change: Callable[[list[ExecutedOrder]], list[ExecutedOrder]]) -> Found:
    return msgspec.structs.replace(FOUND, orders=change(list(FOUND.orders)))


@pytest.mark.parametrize(
    ("changed", "found"),
    [
        (_orders(lambda rows: [*rows, rows[0]]), ["order p33-1 was executed 2 times"]),
        (
            _orders(lambda rows: [*rows, ExecutedOrder("p33-2", "BTCUSDT", Decimal(1))]),
            ["order p33-2 is of no plan"],
        ),
        (_orders(lambda rows: rows[1:]), ["a result names order p33-1, which there is not"]),
        (_changed("BTCUSDT", ledger=Decimal("0.999")), ["BTCUSDT: exchange 1, ledger 0.999"]),
        (_changed("BTCUSDT", ledger=None), ["BTCUSDT: exchange 1, ledger missing"]),
        (_changed("BTCUSDT", snapshot=Decimal(2)), ["BTCUSDT: exchange 1, snapshot 2"]),
        (_changed("SOLUSDT", ledger=Decimal(2)), ["SOLUSDT: exchange 2, ledger 2, 2 from outside"]),
        (
            _changed("ETHUSDT", case="MANUAL_REQUIRED"),
            ["ETHUSDT: a case is open that the stage did not cause: MANUAL_REQUIRED"],
        ),
        (_changed("BTCUSDT", held=True), ["BTCUSDT: a case is open that the stage did not cause: held"]),
        (
            _changed("SOLUSDT", case="OK", held=False),
            ["SOLUSDT: no case is open for 2 from outside"],
        ),
        (
            msgspec.structs.replace(FOUND, unsettled=["a", "b"]),
            ["the Governor's grant of plan a is not settled"],
        ),
        (msgspec.structs.replace(FOUND, counted=1), ["P3.5 has counted 1 of 2 results"]),
    ],
)
def test_faults_of_exchange_and_redis(changed: Found, found: list[str]) -> None:
    assert _differences(found=changed) == found


def test_a_symbol_whose_event_was_cut_off_is_not_judged() -> None:
    assert _differences(caused=Caused({}, frozenset({"SOLUSDT"}))) == []


def test_without_the_bridge_intents_have_no_outcome() -> None:
    assert _differences(_without("answer", 14), bridged=False) == []


def test_intents_and_plans_without_an_end_are_kept_and_orders_of_the_others_are_remembered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(record_module, "KEPT", 2)
    record = _without("result", 321)
    for number in range(9):
        plan_id = f"more-{number}"
        record.direct.add(plan_id)
        record.take(KEYS.plans, f"{500 + number}-0", {"plan_id": plan_id})
        order = {"client_order_id": f"p33-{plan_id}"}
        record.take(KEYS.results, f"{500 + number}-1", {"plan_id": plan_id, **EXECUTED, **order})
    assert list(record.plans) == ["b", "more-7", "more-8"]
    taken = [ExecutedOrder(f"p33-more-{number}", "BTCUSDT", Decimal(1)) for number in range(9)]
    found = msgspec.structs.replace(FOUND, orders=[*FOUND.orders, *taken], counted=None)
    assert _differences(record, found) == ["plan b has no result"]
