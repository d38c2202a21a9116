"""The page as it is served, by the real actor over a real socket."""

from __future__ import annotations

import httpx
import pytest
import trio

from brain.decisions.case import Case
from brain.decisions.decision import decide, deny_malformed, evaluation_failed, state_contended
from brain.decisions.reason_texts import REASON_TEXTS
from brain.durability import Durability
from brain.identifiers import PlanId
from brain.plans.permit import Decision, Reason
from brain.plans.plan import MalformedPlan
from channels import SetGauge
from exchange.protocol import Priority
from monitoring.service_log import build_tag
from tests.background import background
from tests.brain.cases import case, plan, snapshot
from tests.brain.test_reasons import ALLOWED, DENIED
from tests.monitoring.status_rig import NOON_MS, StatusRig, serving
from tests.page.contents import HOSTILE
from tests.page.test_rendering import Reading, read

EXAMPLES: dict[Reason, tuple[Decision, Case | None]] = {
    Reason.EVALUATION_FAILED: (evaluation_failed(3), None),
    Reason.STATE_CONTENDED: (state_contended(5), case()),
    **{reason: (decide(the_case), the_case) for reason, the_case in reversed(ALLOWED + DENIED)},
}


async def explained(client: httpx.AsyncClient, plan_id: str) -> Reading:
    answer = await client.get("/explanation", params={"plan": plan_id})
    assert answer.status_code == 200
    return read(answer.text)


async def page(client: httpx.AsyncClient) -> Reading:
    answer = await client.get("/")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    return read(answer.text)


async def test_the_page_shows_what_the_service_knows(rig: StatusRig) -> None:
    rig.decided("plan-1")
    rig.decided("plan-2", case(hold=True), symbol="ETHUSDT", latency_ms=7)
    rig.monitor.registry.apply(SetGauge("p33_ledger_amt", -0.038, ("BTCUSDT",)))
    rig.redis.set(rig.keys.hold("BTCUSDT"), "drift", ttl_ms=300_000)
    async with serving(rig) as client:
        text = (await page(client)).text
    assert "ETHUSDT ✕ deny reconcile_hold_active 7 ms plan-2" in text
    assert "BTCUSDT ✓ allow sanity_checks_passed SELL 0.028 4 ms plan-1" in text
    assert "BTCUSDT -0.038 -0.038 none" in text
    assert "BTCUSDT held 5 min" in text
    assert "BINANCE_API_SECRET *** env" in text
    assert "as of 2026-09-21 14:13:20 UTC" in text


@pytest.mark.parametrize("token", ["", "a-token-of-a-test"])
async def test_every_link_of_the_bar_and_the_foot_is_answered(token: str) -> None:
    async with serving(StatusRig(token=token)) as client:
        for path in ("/", "/decisions", "/waiting", "/history", "/notices", "/act"):
            reading = read((await client.get(path)).text)
            links = [attributes["href"] for tag, attributes in reading.elements if tag == "a"]
            assert {"/decisions", "/waiting", "/history", "/notices"} < set(links)
            assert ("/act" in links) == bool(token)
            for link in {each for each in links if each and not each.startswith("/readyz")}:
                assert (await client.get(link)).status_code == 200, f"{path} leads to {link}"


async def test_the_newest_fifty_decisions_are_shown(rig: StatusRig) -> None:
    for number in range(60):
        rig.decided(f"plan-{number}")
    async with serving(rig) as client:
        reading = await page(client)
    links = [attributes["href"] for _, attributes in reading.elements if "data-explain" in attributes]
    assert links == [f"/explanation?plan=plan-{number}" for number in range(59, 9, -1)]


@pytest.mark.parametrize("reason", Reason)
async def test_every_reason_is_explained_in_words_with_what_was_compared(reason: Reason) -> None:
    decision, the_case = EXAMPLES[reason]
    assert decision.reason is reason
    rig = StatusRig()
    rig.decided("plan-1", the_case, decision=decision)
    async with serving(rig) as client:
        text = (await explained(client, "plan-1")).text
    assert REASON_TEXTS[reason].finding in text
    assert REASON_TEXTS[reason].advice in text
    assert ("✓ ALLOW" in text, "✕ DENY" in text) == (decision.allow, not decision.allow)
    decided_by_a_check = reason not in (Reason.EVALUATION_FAILED, Reason.STATE_CONTENDED)
    assert (f"→ {reason}" in text) is (decided_by_a_check and not decision.allow)


async def test_an_explanation_shows_the_numbers_and_what_became_of_the_permit(rig: StatusRig) -> None:
    stale_case = case(snapshot=snapshot("0.038", age_sec=12.4), entry_ms=NOON_MS - 4, now_ms=NOON_MS)
    rig.decided("plan-1", stale_case, fields={b"k_heat": b"0.31"})
    rig.decided("plan-2")
    rig.redis.set(rig.keys.permit("plan-2"), '{"allow":true,"signature":"5ec"}', ttl_ms=60_000)
    rig.decided("plan-3")
    rig.redis.set(rig.keys.permit_consumer("plan-3"), "apply-layer-3")
    rig.redis.hset(
        rig.keys.open_permits("BTCUSDT"), {"p:plan-3": f"BOTH|close|SELL|0.028|{NOON_MS + 90_000}"}
    )
    async with serving(rig) as client:
        stale = (await explained(client, "plan-1")).text
        assert "fresh DENIED snapshot 12.4 s old, threshold 10 s → stale_exchange_state" in stale
        assert "k_heat 0.31" in stale
        assert f"4 ms later, by {build_tag()} here:8045" in stale
        there = (await explained(client, "plan-2")).text
        assert "now still there, expires in 60.0 s, signed" in there
        assert '"allow": true' in there and "5ec" not in there
        consumed = (await explained(client, "plan-3")).text
        assert "now consumed by apply-layer-3" in consumed
        assert "in flight still counts for 0.028" in consumed


async def test_a_malformed_plan_is_explained_by_its_fields(rig: StatusRig) -> None:
    malformed = deny_malformed(MalformedPlan(PlanId("plan-1"), None, {"qty": "not a decimal number: 'many'"}))
    rig.decided("plan-1", None, decision=malformed, fields={b"qty": b"many", b"reason": b"\xff\xe2\x80\xae"})
    async with serving(rig) as client:
        text = (await explained(client, "plan-1")).text
    assert "quantity not a decimal number: 'many' → malformed_plan" in text
    assert "\\u202e" in text


async def test_a_value_in_a_permits_place_that_is_no_permit_is_no_crash(rig: StatusRig) -> None:
    rig.decided("plan-1")
    for value in (b"\xff", b'{"a":', b"[" * 100_000, b',"signature":"'):
        rig.redis.set(rig.keys.permit("plan-1"), value)
        async with serving(rig) as client:
            assert "Every check passed" in (await explained(client, "plan-1")).text


async def test_a_plan_that_is_not_remembered_is_reported_with_the_command_that_finds_it() -> None:
    async with serving(StatusRig()) as client:
        answer = await client.get("/explanation", params={"plan": "<b>gone</b>"})
    assert answer.status_code == 404
    assert "plan <b>gone</b>" in read(answer.text).text
    assert "position-state-brain explain" in answer.text


@pytest.mark.parametrize("query", ["", "?plan=", "?plan=" + "x" * 257, "?other=1"])
async def test_an_explanation_of_nothing_is_refused(query: str, client: httpx.AsyncClient) -> None:
    answer = await client.get(f"/explanation{query}")
    assert (answer.status_code, list(answer.json())) == (400, ["error"])


async def test_without_redis_the_page_and_explanations_show_what_the_process_knows(rig: StatusRig) -> None:
    rig.decided("plan-1")
    async with serving(rig) as client:
        with rig.store.faults.outage():
            text = (await page(client)).text
            assert "holds and cooldowns could not be read" in text
            assert "sanity_checks_passed" in text
            text = (await explained(client, "plan-1")).text
    assert "Every check passed" in text
    assert "Redis does not answer: what has become of the permit is not known." in text


@pytest.mark.parametrize("hostile", HOSTILE)
async def test_hostile_names_stay_text(hostile: str, rig: StatusRig) -> None:
    rig.publish(hostile, "1", age_sec=1.0)
    the_case = case(plan(plan_id=hostile, symbol=hostile, action=hostile, source=hostile))
    rig.decided(hostile, the_case, symbol=hostile, fields={hostile.encode(): hostile.encode()})
    async with serving(rig) as client:
        reading = await page(client)
        assert hostile in reading.text
        assert reading.unbalanced == []
        (link,) = [each["href"] for _, each in reading.elements if "data-explain" in each]
        answer = await client.get(link or "")
        assert answer.status_code == 200
        explanation = read(answer.text)
        assert hostile in explanation.text
        assert explanation.unbalanced == []
        for found in (reading, explanation):
            names = {name for _, attributes in found.elements for name in attributes}
            assert not any(name.startswith("on") for name in names)
            assert not {tag for tag, _ in found.elements} & {"iframe", "object", "embed"}
            forms = [attributes["action"] for tag, attributes in found.elements if tag == "form"]
            assert forms == (["/find"] if found is reading else [])


async def test_many_lookers_cost_one_look_a_second(rig: StatusRig, client: httpx.AsyncClient) -> None:
    first = (await client.get("/")).content
    rig.decided("plan-1")
    assert (await client.get("/")).content == first
    rig.clock.advance(1)
    assert b"plan-1" in (await client.get("/")).content


async def test_making_the_page_lets_others_work_in_between(rig: StatusRig) -> None:
    for number in range(600):
        rig.publish(f"S{number}USDT", "1", age_sec=1.0)
    looks = 0

    async def others() -> None:
        nonlocal looks
        while True:
            looks += 1
            await trio.lowlevel.checkpoint()

    async with background(others):
        await rig.monitor.page.document()
    assert looks > 20


async def test_status_shows_weight_mismatches_and_durability_as_the_page_does(rig: StatusRig) -> None:
    rig.monitor.registry.apply(SetGauge("p33_ledger_amt", 0.5, ("BTCUSDT",)))
    rig.budget.reserve(5, Priority.PERIODIC)
    rig.budget.ban(60.0)
    async with serving(rig) as client:
        first = (await client.get("/status")).json()
        rig.clock.advance(7)
        rig.channels.durability.send(Durability(False, "allkeys-lru", 3))
        later = (await client.get("/status")).json()
        rig.clock.advance(30)
        last = (await client.get("/status")).json()
    assert first["weight"] == {
        "own_used": 5, "own_budget": 1200, "address_used": 5, "address_limit": 2400, "ban_left_sec": 60.0,
    }  # fmt: skip
    # The position changed a minute before anybody looked.
    mismatch = {"symbol": "BTCUSDT", "exchange": "-0.038", "ledger": "0.5", "apart_sec": 60.0, "leg": ""}
    assert first["ledgers"] == {"count": 1, "in_flight": 0, "mismatches": [mismatch], "waiting_results": []}
    assert later["ledgers"]["mismatches"][0]["apart_sec"] == 67.0
    assert (first["append_only"], last["append_only"]) == (None, False)
    assert first["eviction"] is None
    assert last["eviction"] == {"policy": "allkeys-lru", "may_evict": True, "evicted_keys": 3}
