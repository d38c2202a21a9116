"""`republish` against a real Redis: shown, asked, published once, refused where it could count twice."""

from __future__ import annotations

import json

import pytest

from brain.decisions.dead_letter import dead_letter
from brain.identifiers import EntryId
from commands import main
from commands.switches import republish
from commands.switches.changes import Order
from tests.commands.deployment import run_command
from tests.commands.switches.test_switches import Desk

pytestmark = pytest.mark.redis

RESULT = {"plan_id": "p-1", "symbol": "BTCUSDT", "executed": "True", "order_id": "77", "filled_qty": "0.3"}
REFUSED = {"plan_id": "p-1", "symbol": "BTCUSDT", "executed": "False", "error": "not_sent: margin"}
ORDERS = "quantum:p33:orders:BTCUSDT"


@pytest.fixture
async def desk(redis_server: str, capsys: pytest.CaptureFixture[str]) -> Desk:
    return Desk(redis_server, capsys)


def dead_at(desk: Desk, stream: str, fields: dict[str, str], *, age_sec: int = 60) -> EntryId:
    """Write a dead letter whose original is so old; return the letter's id."""
    entry_id = EntryId(f"{(desk.redis.time()[0] - age_sec) * 1000}-0")
    encoded = {name.encode(): value.encode() for name, value in fields.items()}
    flat = dead_letter(encoded, entry_id=entry_id, error="ledger of a wrong type")
    letter = dict(zip(flat[::2], flat[1::2], strict=True))
    return EntryId(desk.redis.xadd(f"quantum:stream:{stream}.dead", letter))


async def test_a_dead_result_is_shown_and_published_once_with_an_event(desk: Desk) -> None:
    letter_id = dead_at(desk, "apply.result", {**RESULT, "error": "kept as it is"})
    desk.redis.hset(ORDERS, "77", "0|1760000000000")
    assert await run_command(republish, desk.environ, "apply.result", letter_id, desk.order()) == 0
    out, err = desk.shown()
    assert (
        "of apply.result, 1 min" in out and "old: ledger of a wrong type." in out and "filled_qty=0.3" in out
    )
    assert err == "" and "It is published again as " in out
    assert desk.events("apply.result") == [{**RESULT, "error": "kept as it is"}]
    [event] = desk.events("p33.events")
    assert (event["event"], event["act"], event["by"], event["outcome"]) == (
        "OPERATOR_ACT", "republish", "operator:ann", "done",
    )  # fmt: skip
    assert json.loads(event["arguments"]) == {
        "stream": "apply.result", "letter": letter_id, "reason": "a test",
    }  # fmt: skip
    assert await run_command(republish, desk.environ, "apply.result", letter_id, desk.order()) == 1
    assert "was published again" in desk.shown()[1]
    assert len(desk.events("apply.result")) == len(desk.events("p33.events")) == 1


async def test_a_dead_refusal_is_published(desk: Desk) -> None:
    letter_id = dead_at(desk, "apply.result", REFUSED)
    assert await run_command(republish, desk.environ, "apply.result", letter_id, desk.order()) == 0
    assert desk.events("apply.result") == [REFUSED]


@pytest.mark.parametrize(
    ("memory", "fields", "said"),
    [
        ("0.3|1760000000000", RESULT, "it is booked"),
        ("0.5|1760000000000|close", RESULT, "it is booked"),
        (None, RESULT, "nothing is remembered of order 77"),
        ("junk", RESULT, "order memory 'junk'"),
        (None, {**RESULT, "filled_qty": "many"}, "it would be a dead letter again"),
        (None, {**RESULT, "note": "x" * 2000}, "the beginning of field note alone"),
    ],
)
async def test_a_result_that_may_be_booked_or_cannot_be_is_refused(
    desk: Desk, memory: str | None, fields: dict[str, str], said: str
) -> None:
    letter_id = dead_at(desk, "apply.result", fields)
    if memory is not None:
        desk.redis.hset(ORDERS, "77", memory)
    before = desk.keys()
    assert await run_command(republish, desk.environ, "apply.result", letter_id, desk.order()) == 1
    assert said in desk.shown()[1]
    assert (desk.keys(), desk.asked) == (before, [])


async def test_the_rest_of_an_order_that_is_booked_in_part_is_published(desk: Desk) -> None:
    letter_id = dead_at(desk, "apply.result", RESULT)
    desk.redis.hset(ORDERS, "77", "0.1|1760000000000")
    assert await run_command(republish, desk.environ, "apply.result", letter_id, desk.order()) == 0


async def test_a_result_that_is_booked_between_look_and_answer_is_not_published(desk: Desk) -> None:
    letter_id = dead_at(desk, "apply.result", RESULT)
    desk.redis.hset(ORDERS, "77", "0|1760000000000")
    order = desk.order(before=lambda: desk.redis.hset(ORDERS, "77", "0.3|1760000000001"))
    assert await run_command(republish, desk.environ, "apply.result", letter_id, order) == 1
    assert "the state is another than shown above" in desk.shown()[1]
    assert desk.events("apply.result") == desk.events("p33.events") == []


async def test_a_plan_is_published_while_it_is_known_to_be_undecided(desk: Desk) -> None:
    letter_id = dead_at(desk, "apply.plan", {"plan_id": "p-1", "symbol": "BTCUSDT"})
    desk.redis.set("quantum:p33:plan:p-1", "D|LONG|close|SELL|0")
    assert await run_command(republish, desk.environ, "apply.plan", letter_id, desk.order()) == 1
    assert "plan p-1 is decided" in desk.shown()[1]
    desk.redis.delete("quantum:p33:plan:p-1")
    assert await run_command(republish, desk.environ, "apply.plan", letter_id, desk.order()) == 0
    assert desk.events("apply.plan") == [{"plan_id": "p-1", "symbol": "BTCUSDT"}]


@pytest.mark.parametrize(
    ("fields", "age_sec", "said"),
    [
        ({"plan_id": "p-1"}, 3601, "older than 1 h"),
        ({"symbol": "BTCUSDT"}, 60, "it would be a dead letter again: plan_id: missing"),
        ({"plan_id": "p33:9f", "symbol": "BTCUSDT"}, 60, "dead letter again: plan_id: begins like another"),
    ],
)
async def test_a_plan_of_which_no_decision_can_be_known_is_refused(
    desk: Desk, fields: dict[str, str], age_sec: int, said: str
) -> None:
    letter_id = dead_at(desk, "apply.plan", fields, age_sec=age_sec)
    assert await run_command(republish, desk.environ, "apply.plan", letter_id, desk.order()) == 1
    assert said in desk.shown()[1]
    assert desk.events("apply.plan") == []


async def test_the_command_line_leads_there_and_names_what_it_cannot_read(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in desk.environ.items():
        monkeypatch.setenv(name, value)
    assert await run_command(main, ["republish", "apply.plan", "5-0", "--reason", "x", "--yes"]) == 1
    assert "there is no dead letter 5-0 of apply.plan" in desk.shown()[1]
    for wrong in (["trade.intent", "5-0"], ["apply.plan", "5"], ["apply.plan", "x-0"]):
        with pytest.raises(SystemExit):
            await run_command(main, ["republish", *wrong, "--reason", "x", "--yes"])
    with pytest.raises(SystemExit):
        await run_command(main, ["republish", "apply.plan", "5-0"])


async def test_without_consent_nothing_is_published(desk: Desk) -> None:
    letter_id = dead_at(desk, "apply.result", REFUSED)
    for order in (desk.order("n"), Order("a test")):
        assert await run_command(republish, desk.environ, "apply.result", letter_id, order) == 1
    assert desk.events("apply.result") == desk.events("p33.events") == []


async def test_a_refusal_older_than_a_plans_mark_is_not_published(desk: Desk) -> None:
    letter_id = dead_at(desk, "apply.result", REFUSED, age_sec=3601)
    assert await run_command(republish, desk.environ, "apply.result", letter_id, desk.order()) == 1
    assert "older than 1 h (P33_DECISION_TTL_SEC): what became of its plan" in desk.shown()[1]
    assert desk.events("apply.result") == []


async def test_a_letter_that_is_published_but_not_noted_is_no_failure(desk: Desk) -> None:
    letter_id = dead_at(desk, "apply.result", REFUSED)
    desk.redis.set("quantum:stream:p33.events", "x")
    assert await run_command(republish, desk.environ, "apply.result", letter_id, desk.order()) == 0
    out, err = desk.shown()
    assert "It is published again as " in out and desk.events("apply.result") == [REFUSED]
    assert (
        err.startswith("position-state-brain: it is done, but not in p33.events: ") and err.count("\n") == 1
    )
