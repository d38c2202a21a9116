"""`/waiting` over HTTP: open permits, pending entries, dead letters, unknown executions, totals."""

from __future__ import annotations

import msgspec
import pytest
import trio
import trio.testing

from brain.identifiers import EntryId, FencingToken, PlanId, Symbol
from channels import UnknownExecution, WaitingResult
from monitoring.exposure import AccountExposure
from monitoring.page_view.waiting import WaitingView
from store.keys import Keys
from store.memory.store import MemoryStore
from tests.background import background
from tests.monitoring.status_rig import NOON_MS, StatusRig, rules_of, serving
from tests.page.contents import HOSTILE
from tests.page.test_rendering import Reading, read


async def page(rig: StatusRig) -> Reading:
    async with serving(rig) as client:
        answer = await client.get("/waiting")
    assert answer.status_code == 200
    reading = read(answer.text)
    assert reading.unbalanced == []
    return reading


async def lease(rig: StatusRig) -> FencingToken:
    return (await rig.store.hold_lease("here:8045", None, 10**9)).fence


def permit(rig: StatusRig, symbol: str, plan_id: str, *, left_sec: int = 30) -> None:
    text = f"BOTH|close|SELL|0.028|{NOON_MS + left_sec * 1000}"
    rig.redis.hset(rig.keys.open_permits(symbol), {"v": "d1-0", f"p:{plan_id}": text})


async def test_an_open_permit_shows_what_it_covers_and_when_it_ends(rig: StatusRig) -> None:
    permit(rig, "BTCUSDT", "plan-1")
    rig.redis.hset(rig.keys.open_permits("BTCUSDT"), {"p:plan-2": "junk"})
    reading = await page(rig)
    assert "BTCUSDT plan-1 SELL 0.028 close in 30 s" in reading.text
    assert "BTCUSDT plan-2 unreadable: junk unknown" in reading.text
    links = {attributes["href"] for tag, attributes in reading.elements if tag == "a"}
    assert links >= {"/symbols/BTCUSDT", "/plans/plan-1", "/plans/plan-2"}


async def test_a_permit_of_a_symbol_without_a_position_is_found_by_the_allowlist() -> None:
    rig = StatusRig(snapshot=False)
    permit(rig, "BTCUSDT", "plan-1", left_sec=-5)
    assert "BTCUSDT plan-1 SELL 0.028 close has ended" in (await page(rig)).text


async def test_pending_plans_and_results_are_shown_until_they_are_acknowledged(rig: StatusRig) -> None:
    fence = await lease(rig)
    for group, key in ((rig.store.plans, rig.keys.plans), (rig.store.results, rig.keys.results)):
        await group.create(lost=True)
        rig.redis.xadd(key, {"plan_id": f"plan-of-{group.stream[-6:]}", "symbol": "ETHUSDT"})
    (plan,) = await rig.store.plans.read_new(count=1, block_ms=0)
    await rig.store.results.read_new(count=1, block_ms=0)
    rig.clock.advance(7)
    text = (await page(rig)).text
    assert f"{plan.id} ETHUSDT plan-of-… here:8045 7.0 s 1" in text
    assert "Pending plans: 1" in text and "Pending results: 1" in text
    await rig.store.plans.acknowledge(fence, [plan.id])
    rig.clock.advance(2)
    assert "Pending plans: 0" in (await page(rig)).text


async def test_a_dead_letter_shows_error_content_and_the_command_to_republish_it(
    rig: StatusRig,
) -> None:
    letter_id = rig.redis.xadd(
        rig.keys.dead_plans, {"entry_id": "1-0", "error": "no plan_id", "symbol": "ETHUSDT"}
    )
    reading = await page(rig)
    assert "Dead letters of plans: 1" in reading.text
    assert ": no plan_id entry_id 1-0 symbol ETHUSDT" in reading.text
    assert f"republish apply.plan {letter_id} --reason" in reading.text


async def test_unknown_executions_and_waiting_results_are_listed(rig: StatusRig) -> None:
    now_sec = rig.clock.now().monotonic_sec
    known = UnknownExecution(PlanId("plan-1"), Symbol("BTCUSDT"), NOON_MS - 4000, now_sec + 60)
    ended = msgspec.structs.replace(known, plan_id=PlanId("plan-2"), ends_at_sec=now_sec - 1)
    rig.channels.unknown_executions.send((known, ended))
    waits = WaitingResult(EntryId("5-0"), Symbol("ETHUSDT"), PlanId("plan-3"), "its ledger is missing")
    rig.channels.waiting_results.send((waits,))
    text = (await page(rig)).text
    assert "BTCUSDT plan-1 execution unknown since 2026-09-21" in text
    assert "ends in 1 min" in text
    assert "plan-2" not in text
    assert "ETHUSDT plan-3 result 5-0 waits: its ledger is missing" in text
    assert "No reconcile engine runs here." in text


async def test_the_totals_add_up_positions_by_mark_price(rig: StatusRig) -> None:
    rig.publish("ETHUSDT", "0.01", age_sec=1.0)
    text = (await page(rig)).text
    # -0.038 and 0.01 at 61,000, bought at 60,000.
    assert "Exposure, gross 2,928.00 positions of 2 symbols by mark price" in text
    assert "Exposure, net -1,708.00" in text
    assert "Unrealised P&L -28.00" in text


async def test_totals_of_no_snapshot_are_not_zero() -> None:
    text = (await page(StatusRig(snapshot=False))).text
    for title in ("Exposure, gross", "Exposure, net", "Unrealised P&L"):
        assert f"{title} – no position is known" in text


async def test_totals_of_a_process_that_has_not_read_the_exchange_are_not_zero() -> None:
    rig = StatusRig(snapshot=False)
    rig.channels.symbol_rules.send({})
    assert "Exposure, gross – no position is known" in (await page(rig)).text


async def test_symbols_without_a_snapshot_or_with_a_stale_one_are_counted(rig: StatusRig) -> None:
    rig.channels.symbol_rules.send({each: rules_of(each) for each in ("BTCUSDT", "ETHUSDT", "SOLUSDT")})
    rig.publish("ETHUSDT", "0.01", age_sec=11.0)
    text = (await page(rig)).text
    assert "Exposure, gross 2,928.00" in text
    assert "Not all positions are known. Symbols: 3, without a snapshot: 1, with a stale one: 1." in text


async def test_positions_of_before_trust_was_lost_are_stale(rig: StatusRig) -> None:
    rig.book.lose_trust(rig.clock.now())
    text = (await page(rig)).text
    assert "Symbols: 1, without a snapshot: 0, with a stale one: 1." in text
    assert "of the positions" in text and "of all positions" not in text


async def test_totals_of_a_whole_book_say_nothing_of_doubt(rig: StatusRig) -> None:
    rig.publish("OLDUSDT", "0", age_sec=3600.0)
    text = (await page(rig)).text
    assert "Not all positions" not in text and "Exposure, gross 2,318.00" in text


async def test_open_permits_that_cannot_be_read_are_no_permits_that_are_none(rig: StatusRig) -> None:
    permit(rig, "BTCUSDT", "plan-1")
    rig.redis.xadd(rig.keys.dead_plans, {"entry_id": "1-0", "error": "no plan_id"})
    rig.store.faults.fail_next("before", method="open_permits")
    text = (await page(rig)).text
    assert "Open permits are not known: Redis does not answer." in text
    assert "Open permits – not settled by a result" in text and "Open permits Not known." in text
    assert "Dead letters 1 on both streams" in text and "Dead letters of plans: 1" in text


async def test_streams_that_cannot_be_read_take_no_permits_with_them(rig: StatusRig) -> None:
    permit(rig, "BTCUSDT", "plan-1")
    rig.store.faults.fail_next("before", method="waiting")
    text = (await page(rig)).text
    assert "What waits on the streams is not known: Redis does not answer." in text
    assert "Dead letters – on both streams" in text
    assert "Open permits 1 not settled" in text and "BTCUSDT plan-1 SELL 0.028 close" in text


async def test_without_redis_the_page_shows_what_the_process_knows(rig: StatusRig) -> None:
    with rig.redis.faults.outage():
        text = (await page(rig)).text
    assert "Open permits and what waits on the streams are not known: Redis does not answer." in text
    assert "Open permits –" in text and "Dead letters –" in text
    assert "Exposure, gross 2,318.00" in text


async def test_a_redis_that_hangs_costs_half_a_second(autojump_clock: trio.testing.MockClock) -> None:
    rig = StatusRig()
    store = MemoryStore(rig.redis, keys=Keys("quantum"), consumer="me", crossing=trio.sleep_forever)
    view = WaitingView(
        store,
        rig.channels,
        rig.clocks,
        rig.monitor.roles,
        AccountExposure(rig.book, rig.channels.symbol_rules, rig.clock, stale_threshold_sec=10.0),
        waits=lambda: (),
        render=rig.monitor.page.document_of,
    )
    begun_sec = trio.current_time()
    assert (await view.content()).note
    assert trio.current_time() - begun_sec == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("hostile", HOSTILE)
async def test_hostile_content_stays_text(hostile: str, rig: StatusRig) -> None:
    rig.publish(hostile, "1", age_sec=1.0)
    permit(rig, hostile, hostile)
    await rig.store.plans.create(lost=True)
    rig.redis.xadd(rig.keys.plans, {"plan_id": hostile, "symbol": hostile})
    await rig.store.plans.read_new(count=1, block_ms=0)
    rig.redis.xadd(rig.keys.dead_plans, {"error": hostile, hostile: hostile})
    reading = await page(rig)
    assert hostile in reading.text
    names = {name for _, attributes in reading.elements for name in attributes}
    assert not any(name.startswith("on") for name in names)
    assert not {tag for tag, _ in reading.elements} & {"iframe", "object", "embed", "img/src"}


async def test_5000_symbols_with_permits_and_large_letters_are_a_bounded_page(rig: StatusRig) -> None:
    for number in range(5000):
        symbol = f"S{number}USDT"
        rig.publish(symbol, "1", age_sec=1.0)
        permit(rig, symbol, f"plan-{number}", left_sec=number)
    for key in (rig.keys.dead_plans, rig.keys.dead_results):
        for _ in range(50):
            rig.redis.xadd(key, {f"field-{number}": "x" * 1000 for number in range(64)})
    looks = 0

    async def others() -> None:
        nonlocal looks
        while True:
            looks += 1
            await trio.lowlevel.checkpoint()

    async with background(others):
        document = await rig.monitor.waiting_page.document()
    assert len(document) <= 350_000
    text = read(document.decode()).text
    assert "and 4900 more" in text and "and 30 more" in text
    assert looks > 50


async def test_many_lookers_cost_one_read_a_second(rig: StatusRig) -> None:
    view = rig.monitor.waiting_page
    first = await view.document()
    rig.redis.xadd(rig.keys.dead_plans, {"error": "a new one"})
    assert await view.document() == first
    rig.clock.advance(1)
    assert b"a new one" in await view.document()
