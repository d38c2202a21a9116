"""Acts on the page, as they are served: sessions, forms, refusals, what is written and audited."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from brain.decisions.dead_letter import dead_letter
from brain.identifiers import EntryId
from channels import SetGauge
from tests.monitoring.acting_desk import DRILL, STATE, TOKEN, Desk, hidden
from tests.monitoring.status_rig import NOON_MS, StatusRig, serving
from tests.page.contents import HOSTILE
from tests.page.test_rendering import read

DEAD = {b"plan_id": b"p-1", b"executed": b"False", b"error": b"not_sent"}


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    rig = StatusRig(token=TOKEN)
    async with serving(rig) as client:
        yield Desk(rig, client)


async def test_without_a_token_no_form_is_shown_and_every_post_is_refused(client: httpx.AsyncClient) -> None:
    page = await client.get("/act")
    assert page.status_code == 200 and "This page only shows" in page.text
    assert 'method="post"' not in page.text
    assert "/act" not in {each.get("href") for _, each in read((await client.get("/")).text).elements}
    for path in ("/act", "/act/session", "/act/hold", "/act/other"):
        answer = await client.post(path, data={"token": "x" * 20, "name": "ann"})
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")


async def test_the_trading_state_is_set_after_a_question_and_audited(desk: Desk) -> None:
    assert (await desk.log_in()).status_code == 303
    question = await desk.ask("trading-state", DRILL)
    assert question.status_code == 200
    text = read(question.text).text
    assert "The trading state is ACTIVE." in text and "Set the trading state to HALTED (a drill)?" in text
    assert desk.rig.redis.get(STATE) is None and desk.events("p33.events") == []
    assert "✓ done The trading state is HALTED." in await desk.consent("trading-state", question)
    assert desk.rig.redis.get(STATE) == b"HALTED"
    [event] = desk.events("governor.events")
    assert json.loads(event[b"context"]) == {"by": "operator:ann", "from": "ACTIVE", "to": "HALTED"}
    [audited] = desk.events("p33.events")
    assert json.loads(audited.pop(b"arguments")) == DRILL
    assert audited == {
        b"event": b"OPERATOR_ACT",
        b"act": b"trading-state",
        b"by": b"operator:ann",
        b"outcome": b"The trading state is HALTED.",
        b"address": b"127.0.0.1",
        b"timestamp": f"{NOON_MS / 1000:.3f}".encode(),
    }
    assert [line["act"] for _, line in desk.rig.log_lines if line["event"] == "Act on the page"] == [
        "trading-state"
    ]


async def test_a_symbol_is_held_and_released(desk: Desk) -> None:
    await desk.log_in()
    for act, said in (("hold", "BTCUSDT is held."), ("release", "BTCUSDT is released.")):
        question = await desk.ask(act, {"symbol": "btcusdt", "reason": "contract change"})
        assert said in await desk.consent(act, question)
    assert desk.rig.redis.get(desk.rig.keys.hold("BTCUSDT")) is None
    assert [each[b"event"] for each in desk.events("reconcile.events")] == [b"HOLD_SET", b"HOLD_CLEARED"]
    assert len(desk.events("p33.events")) == 2


async def test_the_hold_of_another_is_released_by_force_alone(desk: Desk) -> None:
    await desk.log_in()
    desk.rig.redis.set(desk.rig.keys.hold("BTCUSDT"), "drift")
    fields = {"symbol": "BTCUSDT", "reason": "looked up"}
    answer = await desk.ask("release", fields)
    assert answer.status_code == 303
    assert "Refused: no operator holds BTCUSDT" in read((await desk.client.get("/act")).text).text
    question = await desk.ask("release", {**fields, "force": "yes"})
    assert "is released" in await desk.consent("release", question)
    outcomes = [each[b"outcome"] for each in desk.events("p33.events")]
    assert outcomes[0].startswith(b"not done: ") and outcomes[1] == b"BTCUSDT is released."


async def test_the_hold_of_another_is_replaced_by_force_alone(desk: Desk) -> None:
    await desk.log_in()
    sig = "quantum:reconcile:hold_sig:BTCUSDT"
    desk.rig.redis.set(desk.rig.keys.hold("BTCUSDT"), "1")
    desk.rig.redis.set(sig, "other:svc")
    fields = {"symbol": "BTCUSDT", "reason": "looked up"}
    for act in ("hold", "release"):
        assert (await desk.ask(act, fields)).status_code == 303
        assert "Refused: no operator holds BTCUSDT" in read((await desk.client.get("/act")).text).text
    assert desk.rig.redis.get(sig) == b"other:svc"
    question = await desk.ask("hold", {**fields, "force": "yes"})
    assert "The hold by other:svc is lost" in read(question.text).text
    assert "BTCUSDT is held." in await desk.consent("hold", question)
    assert desk.rig.redis.get(sig) == b"operator:ann"


def dead_result(desk: Desk) -> str:
    flat = dead_letter(DEAD, entry_id=EntryId(f"{NOON_MS - 60_000}-0"), error="<b>a wrong type</b>")
    return desk.rig.redis.xadd(desk.rig.keys.dead_results, dict(zip(flat[::2], flat[1::2], strict=True)))


async def test_a_dead_letter_is_published_again(desk: Desk) -> None:
    await desk.log_in()
    fields = {"stream": "apply.result", "letter": dead_result(desk), "reason": "repaired"}
    question = await desk.ask("republish", fields)
    assert "<b>a wrong type</b>" in read(question.text).text and "<b>a wrong" not in question.text
    assert "It is published again as" in await desk.consent("republish", question)
    assert desk.events("apply.result") == [DEAD]


async def test_a_notice_is_marked_as_seen_by_the_person(desk: Desk) -> None:
    await desk.log_in()
    question = await desk.ask("acknowledge", {"kind": "case", "subject": "BTCUSDT", "hours": "2"})
    assert "Mark case of BTCUSDT as seen by ann until" in read(question.text).text
    assert "case of BTCUSDT: seen by ann until" in await desk.consent("acknowledge", question)
    marks = await desk.rig.store.seen_notices()
    assert {field: (mark.by, mark.until_ms) for field, mark in marks.items()} == {
        "case|BTCUSDT": ("ann", NOON_MS + 7_200_000)
    }
    assert [each[b"event"] for each in desk.events("p33.events")] == [b"NOTICE_SEEN", b"OPERATOR_ACT"]


async def test_a_question_says_where_a_notice_does_not_fire_and_symbols_are_in_capitals(desk: Desk) -> None:
    await desk.log_in()
    rig, absent = desk.rig, "It does not fire on this instance at present."
    rig.publish("BTCUSDT", "-0.038", age_sec=0.0)
    rig.monitor.registry.apply(SetGauge("p33_ledger_amt", 0.5, ("BTCUSDT",)))
    fields = {"kind": "divergence", "subject": " btcusdt ", "hours": "2"}
    await rig.monitor.notices.look()
    text = read((await desk.ask("acknowledge", fields)).text).text
    assert "Mark divergence of BTCUSDT as seen by ann" in text and absent not in text
    rig.monitor.registry.apply(SetGauge("p33_ledger_amt", -0.038, ("BTCUSDT",)))
    await rig.monitor.notices.look()
    assert absent in read((await desk.ask("acknowledge", fields)).text).text


async def test_a_state_that_changes_between_question_and_answer_is_left_alone(desk: Desk) -> None:
    await desk.log_in()
    question = await desk.ask("trading-state", DRILL)
    desk.rig.redis.set(STATE, "REDUCING")
    assert "The state is another than shown" in await desk.consent("trading-state", question)
    assert desk.rig.redis.get(STATE) == b"REDUCING"
    [audited] = desk.events("p33.events")
    assert audited[b"outcome"].startswith(b"not done: ")


async def test_a_state_that_is_set_already_needs_no_answer(desk: Desk) -> None:
    await desk.log_in()
    assert (await desk.ask("trading-state", {"state": "active", "reason": "x"})).status_code == 303
    assert "Nothing to do." in (await desk.client.get("/act")).text
    assert desk.events("p33.events") == []


@pytest.mark.parametrize(
    ("act", "fields", "said"),
    [
        ("trading-state", {"state": "stopped", "reason": "x"}, "state: active, reducing or halted"),
        ("trading-state", {"state": "halted"}, "reason: 1 to 200"),
        ("hold", {"symbol": "BTCUSDT", "reason": "two\nlines"}, "reason: 1 to 200"),
        ("hold", {"symbol": "BTCUSDT", "reason": "x" * 201}, "reason: 1 to 200"),
        ("hold", {"symbol": "BTC USDT", "reason": "x"}, "symbol: one such as"),
        ("hold", {"reason": "x"}, "symbol: one such as"),
        ("republish", {"stream": "trade.intent", "letter": "1-0", "reason": "x"}, "stream: apply.plan or"),
        ("acknowledge", {"kind": "fire", "hours": "1"}, "kind: one of not_ready"),
        ("acknowledge", {"kind": "case", "hours": "0"}, "hours: a whole number from 1 to 168"),
        ("acknowledge", {"kind": "case", "hours": "169"}, "hours: a whole number"),
        ("acknowledge", {"kind": "case", "hours": "1", "subject": "a\nb"}, "subject: up to 256"),
        ("acknowledge", {"kind": "case", "hours": "1"}, "subject: case needs its subject, a symbol"),
        ("acknowledge", {"kind": "ban", "hours": "1", "subject": "x"}, "subject: ban has no subject"),
        ("republish", {"stream": "apply.plan", "letter": "1", "reason": "x"}, "letter: an id such as"),
    ],
)
async def test_a_field_that_cannot_be_used_is_named(
    desk: Desk, act: str, fields: dict[str, str], said: str
) -> None:
    await desk.log_in()
    answer = await desk.ask(act, fields)
    assert answer.status_code == 400 and said in read(answer.text).text
    assert desk.rig.redis.keys() == []


@pytest.mark.parametrize("hostile", HOSTILE)
async def test_hostile_fields_stay_text(desk: Desk, hostile: str) -> None:
    await desk.log_in()
    reason = "".join(each for each in hostile if each.isprintable())[:200].strip() or "x"
    answer = await desk.ask("trading-state", {"state": "halted", "reason": reason})
    page = read(answer.text)
    assert page.unbalanced == [] and hidden(page)["reason"] == reason
    assert not any(name.startswith("on") for _, each in page.elements for name in each)
    await desk.consent("trading-state", answer)
    assert json.loads(desk.events("p33.events")[0][b"arguments"])["reason"] == reason


async def test_a_redis_that_does_not_answer_is_named_and_the_page_still_shown(desk: Desk) -> None:
    await desk.log_in()
    question = await desk.ask("trading-state", DRILL)
    with desk.rig.store.faults.outage():
        text = await desk.consent("trading-state", question)
    assert "✕ not done Redis: " in text and "Nothing was changed." in text
    assert "It is in the log, not in p33.events" in text
    assert "The trading state could not be read" in text
    assert [line["event"] for method, line in desk.rig.log_lines if method == "error"] == [
        "Act on the page is not in p33.events"
    ]


async def test_an_act_whose_answer_is_lost_is_unknown_on_page_log_and_stream(desk: Desk) -> None:
    await desk.log_in()
    question = await desk.ask("trading-state", DRILL)
    desk.rig.store.faults.fail_next("after", method="set_trading_state")
    text = await desk.consent("trading-state", question)
    assert "? unknown Redis: " in text and "It may have been done: look before you repeat it." in text
    assert "not done" not in text and desk.rig.redis.get(STATE) == b"HALTED"
    [audited] = desk.events("p33.events")
    assert audited[b"outcome"].startswith(b"unknown: Redis: ")
    [line] = [line for _, line in desk.rig.log_lines if line["event"] == "Act on the page"]
    assert str(line["outcome"]).startswith("unknown: ")


async def test_a_right_that_lacks_leaves_no_doubt(desk: Desk) -> None:
    await desk.log_in()
    question = await desk.ask("trading-state", DRILL)
    desk.rig.store.faults.forbid("set_trading_state")
    text = await desk.consent("trading-state", question)
    assert "✕ not done Redis: user p33 has no right" in text and "Nothing was changed." in text


@pytest.mark.parametrize(
    ("act", "fields"),
    [("hold", {"symbol": "BTCUSDT"}), ("release", {"symbol": "BTCUSDT"}), ("trading-state", DRILL)],
)
async def test_consent_that_is_sent_twice_is_done_once_and_said_to_be_done(
    desk: Desk, act: str, fields: dict[str, str]
) -> None:
    await desk.log_in()
    if act == "release":
        await desk.consent("hold", await desk.ask("hold", {"symbol": "BTCUSDT", "reason": "before"}))
    question = await desk.ask(act, {"reason": "a drill", **fields})
    events = "governor.events" if act == "trading-state" else "reconcile.events"
    before = len(desk.events(events))
    for said in ("✓ done", "✓ done Nothing to do."):
        assert said in await desk.consent(act, question)
    assert len(desk.events(events)) == before + 1


async def test_consent_that_meets_the_first_one_half_done_is_done(desk: Desk) -> None:
    await desk.log_in()
    question = await desk.ask("hold", {"symbol": "BTCUSDT", "reason": "a drill"})
    set_hold = desk.rig.store.set_hold

    async def second(*given: Any) -> bool:
        await set_hold(*given)
        return await set_hold(*given)

    desk.rig.store.set_hold = second  # type: ignore[method-assign, assignment]
    assert "✓ done Nothing to do. BTCUSDT is held by the operator ann" in await desk.consent("hold", question)


async def test_consent_to_publish_a_letter_that_is_sent_twice_is_done_once(desk: Desk) -> None:
    await desk.log_in()
    fields = {"stream": "apply.result", "letter": dead_result(desk), "reason": "repaired"}
    question = await desk.ask("republish", fields)
    assert "✓ done It is published again as" in await desk.consent("republish", question)
    assert "✓ done Nothing to do. Its original was published again" in await desk.consent(
        "republish", question
    )
    assert len(desk.events("apply.result")) == 1
    assert (await desk.ask("republish", fields)).status_code == 303
    assert (
        "✕ not done Refused: its original was published again"
        in read((await desk.client.get("/act")).text).text
    )


async def test_a_key_of_a_wrong_type_is_named_and_nothing_changed(desk: Desk) -> None:
    await desk.log_in()
    desk.rig.redis.set("quantum:stream:governor.events", "x")
    text = await desk.consent("trading-state", await desk.ask("trading-state", DRILL))
    assert "✕ not done Redis refuses it, and nothing was changed: WRONGTYPE" in text
    assert desk.rig.redis.get(STATE) is None
