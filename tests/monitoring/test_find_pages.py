"""Finding, and the pages of plans and symbols, by the real actor over a real socket."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from urllib.parse import quote, urljoin

import pytest

from brain.positions.position import Leg, LegPosition, Snapshot, VerifiedBy
from channels import BookEntry
from store.keys import ExecutorKeys, GovernorKeys, ReconcileKeys
from tests.monitoring.find_rig import asked, audited, plans, some
from tests.monitoring.status_rig import NOON_MS, StatusRig, serving
from tests.page.contents import HOSTILE
from tests.page.test_rendering import read

LEGS = {Leg.LONG: "5", Leg.SHORT: "-5"}
PARAMETERS = ("symbol", "reason", "source", "since", "until", "role", "page", "answer", "sort", "order")


@pytest.mark.parametrize(
    ("text", "link"),
    [
        (" plan-000002 ", "/plans/plan-000002"),
        ("'plan-0000\n02'", "/plans/plan-000002"),
        ("btcusdt", "/symbols/BTCUSDT"),
        (f"{NOON_MS - 60_009}-0", "/plans/plan-000002"),
        ("87654321", "/plans/plan-000003"),
        ("by-us-1", "/plans/plan-000003"),
    ],
)
async def test_a_text_leads_to_what_it_names(rig: StatusRig, text: str, link: str) -> None:
    some(rig)
    rig.redis.xadd(
        rig.keys.results,
        {"plan_id": "plan-000003", "executed": "true", "order_id": "87654321", "client_order_id": "by-us-1"},
    )
    async with serving(rig) as client:
        answer = await client.get("/find", params={"q": text})
    assert (answer.status_code, answer.headers.get("location")) == (303, link)


async def test_a_beginning_of_several_lists_them(rig: StatusRig) -> None:
    some(rig)
    async with serving(rig) as client:
        reading = await asked(client, "/find?q=plan-0")
        assert plans(reading) == ["plan-000003", "plan-000002", "plan-000001"]
        nothing = await asked(client, "/find?q=unknown-plan", 404)
        assert "No plan, order, intent or symbol" in nothing.text
        assert (await client.get("/find?q=%20")).status_code == 400
        assert (await client.get("/find", params={"q": "x" * 257})).status_code == 400


def result(rig: StatusRig, plan_id: str, symbol: str, order_id: str) -> None:
    rig.redis.xadd(
        rig.keys.results, {"plan_id": plan_id, "symbol": symbol, "executed": "true", "order_id": order_id}
    )


async def test_an_order_id_of_two_symbols_lists_both_plans(rig: StatusRig) -> None:
    result(rig, "plan-of-btc", "BTCUSDT", "8389766123")
    result(rig, "plan-of-eth", "ETHUSDT", "8389766123")
    rig.redis.xadd(rig.keys.plans, {"plan_id": "plan-of-sol", "intent_id": "8389766123"})
    async with serving(rig) as client:
        reading = await asked(client, "/find?q=8389766123")
        assert plans(reading) == ["plan-of-eth", "plan-of-btc", "plan-of-sol"]
        for hint in ("BTCUSDT order in quantum:stream:apply.result", "intent in quantum:stream:apply.plan"):
            assert hint in reading.text
        result(rig, "plan-alone", "BTCUSDT", "8389766124")
        result(rig, "plan-alone", "BTCUSDT", "8389766124")
        alone = await client.get("/find?q=8389766124")
        assert alone.headers["location"] == "/plans/plan-alone"


async def test_an_entry_id_of_two_streams_lists_both_plans(rig: StatusRig) -> None:
    rig.redis.xadd(rig.keys.plans, {"plan_id": "plan-waiting"}, entry_id="1790000000000-0")
    rig.redis.xadd(rig.keys.results, {"plan_id": "plan-executed"}, entry_id="1790000000000-0")
    async with serving(rig) as client:
        assert plans(await asked(client, "/find?q=1790000000000-0")) == ["plan-waiting", "plan-executed"]


async def test_a_short_id_that_is_not_found_says_how_much_is_needed(rig: StatusRig) -> None:
    result(rig, "plan-1", "BTCUSDT", "77711")
    async with serving(rig) as client:
        assert "six characters are needed" in (await asked(client, "/find?q=77711", 404)).text
        assert "six characters are needed" not in (await asked(client, "/find?q=777111", 404)).text


async def test_beginnings_of_symbols_are_answered_without_a_search(rig: StatusRig) -> None:
    for symbol in ("BTCUSDC", "ETHUSDT"):
        rig.publish(symbol, "1", age_sec=1.0)
    rig.redis.xadd(rig.keys.plans, {"plan_id": "BTCUSD-1"})
    async with serving(rig) as client:
        for method in ("entries_naming", "audit_rows"):
            rig.store.faults.fail_next("before", method=method, count=100)
        reading = await asked(client, "/find?q=btcusd")
        assert "symbol BTCUSDC" in reading.text and "symbol BTCUSDT" in reading.text
        assert "Symbols begin so" in reading.text and "cannot be read" not in reading.text
        assert (await client.get("/find?q=eth")).headers["location"] == "/symbols/ETHUSDT"


@pytest.mark.parametrize("plan_id", [".", ".."])
async def test_a_plan_whose_name_is_a_dot_segment_has_a_page(rig: StatusRig, plan_id: str) -> None:
    audited(rig, plan_id, symbol=plan_id)
    async with serving(rig) as client:
        reading = await asked(client, "/decisions")
        (link,) = (
            each.get("href") or "" for tag, each in reading.elements
            if tag == "a" and "plan" in (each.get("href") or "")
        )  # fmt: skip
        assert urljoin("http://x/decisions", link) == f"http://x/plans?plan_id={plan_id}"
        assert f"plan {plan_id}" in (await asked(client, link)).text
        assert (await client.get(f"/find?q={plan_id}")).headers["location"] == link
        assert (await client.get("/plans")).status_code == 404


@pytest.mark.parametrize("trace", ["ledger", "hold", "cooldown", "case", "decision"])
async def test_a_symbol_that_the_exchange_does_not_name_has_a_page(trace: str) -> None:
    rig = StatusRig(snapshot=False, environment={"P33_RECONCILE": "shadow"})
    rig.channels.symbol_rules.send({})
    name, keys = "GONEUSDT", rig.keys
    traces: dict[str, Callable[[], object]] = {
        "ledger": lambda: rig.redis.hset(keys.ledger(name), {"last_known_amt": "2"}),
        "hold": lambda: rig.redis.set(keys.hold(name), "1"),
        "cooldown": lambda: rig.redis.set(keys.cooldown(name), "1"),
        "case": lambda: rig.redis.hset(ReconcileKeys(keys, shadow=True).state(name), {"status": "DRIFT"}),
        "decision": lambda: audited(rig, "plan-000001", symbol=name),
    }
    async with serving(rig) as client:
        assert (await client.get(f"/symbols/{name}")).status_code == 303
        traces[trace]()
        text = (await asked(client, f"/symbols/{name}")).text
        assert "snapshot none yet" in text
        assert (await client.get("/find?q=goneusdt")).headers["location"] == f"/symbols/{name}"


async def test_a_case_of_the_shadow_is_shown_where_the_engine_is_in_shadow() -> None:
    for mode, shown in (("shadow", "case none case in shadow DRIFT"), ("off", "case none")):
        rig = StatusRig(environment={"P33_RECONCILE": mode})
        rig.redis.hset(ReconcileKeys(rig.keys, shadow=True).state("BTCUSDT"), {"status": "DRIFT"})
        async with serving(rig) as client:
            text = (await asked(client, "/symbols/BTCUSDT")).text
        assert shown in text and ("DRIFT" in text) == (mode == "shadow")


async def test_both_legs_of_a_hedge_count_in_the_notional(rig: StatusRig) -> None:
    legs = tuple(LegPosition(leg, Decimal(amount), Decimal(100), 1) for leg, amount in LEGS.items())
    at = rig.clock.now()
    snapshot = Snapshot("BTCUSDT", legs, Decimal(5), Decimal(110), NOON_MS, at, VerifiedBy.REST)
    rig.book.publish(0, BookEntry(snapshot, at.earlier_by(-1)))
    async with serving(rig) as client:
        assert "notional 1100" in (await asked(client, "/symbols/BTCUSDT")).text


async def test_open_permits_that_cannot_be_read_are_not_none(rig: StatusRig) -> None:
    rig.redis.set(rig.keys.open_permits("BTCUSDT"), "of another type")
    async with serving(rig) as client:
        text = (await asked(client, "/symbols/BTCUSDT")).text
        assert "Open permits Not read" in text and "Open permits None" not in text
        with rig.redis.faults.outage():
            assert "Open permits Not read" in (await asked(client, "/symbols/BTCUSDT")).text


async def test_a_plan_that_is_not_among_the_latest_is_explained_with_its_time_line(rig: StatusRig) -> None:
    audited(rig, "plan-000001", back_ms=60_000)
    rig.redis.xadd(
        rig.keys.results,
        {"plan_id": "plan-000001", "symbol": "BTCUSDT", "executed": "true", "order_id": "876", "side": "SELL",
         "filled_qty": "0.028"},
        entry_id=f"{NOON_MS - 59_000}-0",
    )  # fmt: skip
    rig.redis.set(rig.keys.permit("plan-000001"), '{"allow":true}', ttl_ms=60_000)
    rig.redis.set(GovernorKeys(rig.keys, shadow=False).permit("plan-000001"), '{"granted":true}')
    async with serving(rig) as client:
        reading = await asked(client, "/plans/plan-000001")
    assert "✓ ALLOW sanity_checks_passed SELL 0.028" in reading.text
    assert "Time line" in reading.text and "The plan was published." in reading.text
    assert "Along the chain" in reading.text
    assert "expires in 60.0 s" in reading.text
    assert "another one grants it" in reading.text


async def test_a_plan_shows_that_the_executor_holds_the_symbol_for_its_order(rig: StatusRig) -> None:
    executor = ExecutorKeys(rig.keys)
    some(rig)
    rig.redis.hset(
        executor.order("plan-000001"),
        {"plan_id": "plan-000001", "symbol": "BTCUSDT", "client_order_id": "x-1", "state": "unknown"},
    )
    rig.redis.set(executor.hold_sig("BTCUSDT"), "exec:x-1")
    async with serving(rig) as client:
        assert "the symbol is held for this order" in (await asked(client, "/plans/plan-000001")).text
        rig.redis.set(executor.hold_sig("BTCUSDT"), "exec:x-2")
        rig.clock.advance(1)
        assert "held for this order" not in (await asked(client, "/plans/plan-000001")).text


async def test_a_plan_without_a_decision_shows_what_was_published(rig: StatusRig) -> None:
    rig.redis.xadd(rig.keys.plans, {"plan_id": "waiting-1", "symbol": "BTCUSDT", "decision": "EXECUTE"})
    async with serving(rig) as client:
        reading = await asked(client, "/plans/waiting-1")
        assert "symbol BTCUSDT" in reading.text
        assert "No trace of this plan" in (await asked(client, "/plans/nothing-1", 404)).text


async def test_a_symbol_is_shown_with_all_that_is_known_of_it(rig: StatusRig) -> None:
    some(rig)
    rig.redis.hset(rig.keys.ledger("BTCUSDT"), {"last_known_amt": "-0.038", "version": "12"})
    rig.redis.set(rig.keys.hold("BTCUSDT"), "1", ttl_ms=300_000)
    rig.redis.set("quantum:reconcile:hold_reason:BTCUSDT", "drift")
    case = {"status": "DRIFT", "cause": "unknown_fill", "why": "an order moved it", "advice": "accept it"}
    rig.redis.hset("quantum:reconcile:state:BTCUSDT", {name.encode(): text for name, text in case.items()})
    rig.redis.set(rig.keys.cooldown("BTCUSDT"), str(NOON_MS - 1000))
    rig.redis.hset(
        rig.keys.open_permits("BTCUSDT"),
        {"v": "1", "p:plan-000003": f"BOTH|close|SELL|0.028|{NOON_MS + 90_000}"},
    )
    async with serving(rig) as client:
        rig.monitor.find.look()
        text = (await asked(client, "/symbols/BTCUSDT")).text
    for shown in (
        "position BOTH -0.038, entry 60000",
        "mark price 61000",
        "notional 2318",
        "unrealised P&L -38",
        "last_known_amt -0.038 version 12",
        "hold 1, ends in 5 min",
        "hold reason drift",
        "case DRIFT",
        "case cause unknown_fill",
        "case why an order moved it",
        "case advice accept it",
        f"cooldown key {NOON_MS - 1000}, 2026-09-21T14:13:19.000Z",
        "plan-000… SELL 0.028 close in 1 min 30 s",
        "plan-000",
    ):
        assert shown in text, shown


async def test_an_agreement_that_is_noted_is_no_case(rig: StatusRig) -> None:
    rig.redis.hset("quantum:reconcile:state:BTCUSDT", {"agreed_ms": str(NOON_MS)})
    rig.redis.set(rig.keys.cooldown("BTCUSDT"), "soon")
    async with serving(rig) as client:
        text = (await asked(client, "/symbols/BTCUSDT")).text
    assert "cooldown key soon case none Open permits" in text


async def test_an_unknown_symbol_is_looked_for(rig: StatusRig) -> None:
    async with serving(rig) as client:
        answer = await client.get("/symbols/btcusdt")
        assert (answer.status_code, answer.headers["location"]) == (303, "/find?q=btcusdt")
        assert (await client.get("/symbols/" + "x" * 300)).status_code == 404


@pytest.mark.parametrize("hostile", [*HOSTILE, "x" * 256, "ÜUSDT", "../../x", "%", "\u202e", "a/b"])
async def test_hostile_names_stay_text_on_every_page(rig: StatusRig, hostile: str) -> None:
    rig.publish(hostile, "1", age_sec=1.0)
    audited(rig, hostile, symbol=hostile, source=hostile)
    name = quote(hostile, safe="")
    async with serving(rig) as client:
        for path in (
            "/decisions",
            *(
                f"/decisions?{each}={name}"
                for each in ("symbol", "reason", "source", "since", "role", "page", "answer")
            ),
            f"/plans/{name}",
            f"/symbols/{name}",
            f"/find?q={name}",
        ):
            answer = await client.get(path)
            assert answer.status_code in (200, 303, 400, 404), path
            reading = read(answer.text)
            assert reading.unbalanced == []
            assert not {tag for tag, _ in reading.elements} & {
                "iframe",
                "object",
                "embed",
                "script",
                "img",
            } - {"img"}
            names = {attribute for _, attributes in reading.elements for attribute in attributes}
            assert not any(attribute.startswith("on") for attribute in names)
            if answer.is_redirect:
                location = answer.headers["location"]
                assert location.startswith(("/plans/", "/symbols/", "/find?q="))
        assert (await client.get("/decisions.csv")).status_code == 200
        listed = (await client.get("/decisions.json")).json()["decisions"]
        assert listed[0]["plan_id"] == hostile.encode()[:256].decode(errors="backslashreplace")


async def test_without_redis_each_page_says_so(rig: StatusRig) -> None:
    some(rig)
    async with serving(rig) as client:
        with rig.redis.faults.outage():
            for path, status in (
                ("/decisions", 503),
                ("/plans/plan-000001", 503),
                ("/symbols/BTCUSDT", 200),
                ("/find?q=plan-000001", 404),
            ):
                assert "Redis cannot be read" in (await asked(client, path, status)).text, path
            assert (await client.get("/decisions.csv")).status_code == 503


async def test_a_snapshot_of_a_name_that_is_no_symbol_leads_nowhere(rig: StatusRig) -> None:
    name = "W" * 256
    rig.publish(name, "1", age_sec=0.0)
    async with serving(rig) as client:
        assert (await client.get(f"/symbols/{name}", follow_redirects=True)).status_code == 404
        assert (await client.get("/find", params={"q": name[:40]}, follow_redirects=True)).status_code == 404
