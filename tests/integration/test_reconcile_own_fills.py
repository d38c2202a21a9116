"""Fills of ours that no result has reported: booked by themselves, once, and within 5 s."""

from __future__ import annotations

import signal
from decimal import Decimal

import trio

from brain.identifiers import PlanId
from brain.ledger.booking import decode_open_permit
from simulator import MarketOrder, Order
from tests.integration.pipeline import RESULTS, entry, executed
from tests.integration.played_governor import PlayedGovernor, id_at_exchange
from tests.integration.reconciled import (
    KEYS,
    PATIENCE_SEC,
    REPAIRED_WITHIN_SEC,
    Reconciled,
    named,
    sec_between,
)
from tests.integration.waiting import until

SYMBOL = "SOLUSDT"
EXECUTOR = {"P33_EXECUTOR": "on", "P33_PERMIT_TTL": "3"}


def redis_ms(site: Reconciled) -> int:
    sec, microseconds = site.redis.time()
    return int(sec) * 1000 + int(microseconds) // 1000


def begun(site: Reconciled, client_order_id: str, quantity: str) -> Order:
    """Return an order to buy that the exchange has taken and not filled."""
    request = MarketOrder(
        symbol=SYMBOL, side="BUY", quantity=Decimal(quantity), client_order_id=client_order_id
    )
    return site.exchange.accept_order(request, request.quantity)


def fills(site: Reconciled, order: Order, quantity: str) -> None:
    site.exchange.fill(order, Decimal(quantity), site.exchange.mark_price(SYMBOL))


async def test_a_fill_whose_executor_was_killed_for_good_is_booked_once_no_permit_explains_it(
    reconciled: Reconciled,
) -> None:
    site, exchange, governor = reconciled, reconciled.exchange, PlayedGovernor(reconciled)
    async with site.daemon(EXECUTOR) as daemon:
        await governor.executor_reads()
        await governor.has_price(SYMBOL)
        # It is killed before the answer to its order, which is filled later.
        exchange.faults.rest_latency_ms, exchange.faults.rest_latency_share_before = 3_000.0, 0.0
        exchange.faults.first_fill_after_ms = 1_000
        governor.publish("plan-1", entry(SYMBOL, "0.5"))
        (order,) = await until(lambda: exchange.orders.of(SYMBOL), "the order", 10)
        assert await daemon.stop(signal.SIGKILL) == -signal.SIGKILL
    exchange.faults.clear()
    await until(lambda: order.status == "FILLED", "the fill that nobody sees")
    assert governor.result_now("plan-1") is None
    assert governor.record("plan-1")["state"] == "sending"
    reserved = decode_open_permit(PlanId("plan-1"), site.redis.hget(f"quantum:p33:open:{SYMBOL}", "p:plan-1"))

    async with site.daemon():
        since_ms = max(redis_ms(site), reserved.expires_ms)
        assert site.ledger_amount(SYMBOL) == "0"
        repair = await site.repaired(SYMBOL)
        assert (int(repair["ms"]) - since_ms) / 1000 < REPAIRED_WITHIN_SEC
        assert named(repair) == [(id_at_exchange("plan-1"), "own_unbooked", "0.5")]
        assert site.told(SYMBOL) == ["HOLD_SET", "AUTO_REPAIR"]
        assert site.state(SYMBOL)["status"] == "REPAIRED"
        # Its result after all: it adds nothing.
        site.publish_fill("plan-1", order)
        await site.nothing_pends(RESULTS)
        site.assert_agrees(SYMBOL)


async def test_the_hold_of_an_executor_that_was_killed_for_good_is_waited_out_before_its_fill_is_booked(
    reconciled: Reconciled,
) -> None:
    """Nothing says that the order is over: the hold is neither renewed nor deleted, and nothing is asked."""
    site, exchange, governor = reconciled, reconciled.exchange, PlayedGovernor(reconciled)
    held = {**EXECUTOR, "P34_HOLD_TTL_SEC": "30"}
    faults = exchange.faults
    async with site.daemon(held) as daemon:
        await governor.executor_reads()
        await governor.has_price(SYMBOL)
        faults.rest_fault_paths, faults.rest_fault_methods = ["/fapi/v1/order"], ["POST"]
        faults.rest_fault_rates, faults.order_visible_after_ms = {"503_unknown": 1.0}, 10_000.0
        faults.drop_event_types, faults.drop_event_rate = ["ORDER_TRADE_UPDATE", "TRADE_LITE"], 1.0
        governor.publish("plan-1", entry(SYMBOL, "0.5"))
        owner = f"exec:{id_at_exchange('plan-1')}"
        await until(lambda: site.held_by(SYMBOL) == owner, "the executor's hold", 10)
        await until(lambda: governor.record("plan-1")["state"] == "unknown", "its record", 10)
        (order,) = exchange.orders.of(SYMBOL)
        assert await daemon.stop(signal.SIGKILL) == -signal.SIGKILL
    faults.clear()
    assert (order.status, governor.record("plan-1")["state"]) == ("FILLED", "unknown")
    # Of a plan that Redis has lost: the reservation does not explain the fill any more, the hold stands.
    site.redis.delete(f"quantum:p33:open:{SYMBOL}")
    ends_ms = redis_ms(site) + site.redis.pttl(KEYS.hold(SYMBOL))

    async with site.daemon({"P34_HOLD_TTL_SEC": "30"}):
        await until(lambda: site.state(SYMBOL).get("status") == "DRIFT", "the case", PATIENCE_SEC)
        assert owner in site.state(SYMBOL)["why"]
        while redis_ms(site) < ends_ms - 2_000:
            assert site.held_by(SYMBOL) == owner
            assert (
                abs(redis_ms(site) + site.redis.pttl(KEYS.hold(SYMBOL)) - ends_ms) < 2_000
            )  # a renewal adds more
            assert exchange.requests.records(path="/fapi/v1/userTrades") == []
            await trio.sleep(0.2)
        repair = await site.repaired(SYMBOL)
        assert ends_ms <= int(repair["ms"]) < ends_ms + 1000 * REPAIRED_WITHIN_SEC
        assert named(repair) == [(id_at_exchange("plan-1"), "own_unbooked", "0.5")]
        assert site.told(SYMBOL) == ["DRIFT", "HOLD_SET", "AUTO_REPAIR"]
        assert governor.record("plan-1")["state"] == "unknown"

    # An executor that comes back publishes the result, which adds nothing, and leaves no hold.
    async with site.daemon(held):
        result = await governor.result("plan-1", PATIENCE_SEC)
        assert (result["executed"], result["filled_qty"]) == ("true", "0.5")
        await site.nothing_pends(RESULTS)
        await until(governor.nothing_open, "no hold", PATIENCE_SEC)
        site.assert_agrees(SYMBOL)


async def test_growth_of_an_order_whose_last_result_was_trimmed_is_booked_and_adds_nothing_later(
    reconciled: Reconciled,
) -> None:
    """The order is of another executor: nothing but its first result says that it is ours."""
    site = reconciled
    order = begun(site, "theirs-1", "1")
    last = executed("plan-1", SYMBOL, order.order_id, "BUY", "1")
    async with site.daemon() as daemon:
        fills(site, order, "0.3")
        first = executed("plan-1", SYMBOL, order.order_id, "BUY", "0.3")
        site.publish_result({**first, "order_status": "PARTIALLY_FILLED"})
        await site.ledger_reaches(SYMBOL, "0.3")
        await site.agreement_noted(SYMBOL)
        assert await daemon.stop(signal.SIGKILL) == -signal.SIGKILL
    fills(site, order, "0.7")
    site.publish_result(last)
    site.redis.xtrim(RESULTS, maxlen=0, approximate=False)

    async with site.daemon():
        since_ms = redis_ms(site)
        repair = await site.repaired(SYMBOL)
        assert (int(repair["ms"]) - since_ms) / 1000 < REPAIRED_WITHIN_SEC
        assert named(repair) == [("theirs-1", "own_unbooked", "0.7")]
        site.publish_result(last)
        await site.nothing_pends(RESULTS)
        assert site.ledger_amount(SYMBOL) == "1"


async def test_an_orphan_order_is_booked_and_said_once(reconciled: Reconciled) -> None:
    site = reconciled
    async with site.daemon():
        order = site.lost(SYMBOL, "0.5")
        repair = await site.repaired(SYMBOL)
        assert sec_between(order, repair) < REPAIRED_WITHIN_SEC
        assert named(repair) == [(order.client_order_id, "own_orphan", "0.5")]
        await until(lambda: site.event(SYMBOL, "ORPHAN_ORDER"), "its event")
        assert site.told(SYMBOL) == ["HOLD_SET", "AUTO_REPAIR", "ORPHAN_ORDER"]


async def test_an_orphan_that_the_executor_has_found_and_held_is_booked_and_said_once(
    reconciled: Reconciled,
) -> None:
    site = reconciled
    async with site.daemon({"P33_EXECUTOR": "on"}) as daemon:
        assert await daemon.stop(signal.SIGKILL) == -signal.SIGKILL
    order = site.lost(SYMBOL, "0.5")
    async with site.daemon({"P33_EXECUTOR": "on"}):
        repair = await site.repaired(SYMBOL)
        assert named(repair) == [(order.client_order_id, "own_orphan", "0.5")]
        assert site.told(SYMBOL) == ["ORPHAN_ORDER", "HOLD_SET", "AUTO_REPAIR"]


async def test_an_orphan_that_the_engine_has_booked_before_the_executor_finds_it_is_booked_once(
    reconciled: Reconciled,
) -> None:
    site, executor = reconciled, PlayedGovernor(reconciled)
    async with site.daemon() as daemon:
        order = site.lost(SYMBOL, "0.5")
        repair = await site.repaired(SYMBOL)
        assert named(repair) == [(order.client_order_id, "own_orphan", "0.5")]
        await until(lambda: site.event(SYMBOL, "ORPHAN_ORDER"), "its event")
        version = site.ledger(SYMBOL)["version"]
        assert await daemon.stop(signal.SIGKILL) == -signal.SIGKILL
    async with site.daemon({"P33_EXECUTOR": "on"}):
        # The executor searches the orders of symbols with a position, and finds one without a record.
        record = await until(lambda: executor.record(order.client_order_id), "its record", PATIENCE_SEC)
        assert record["state"] == "orphan"
        await site.agreement_noted(SYMBOL)
        assert executor.nothing_open()
        site.assert_agrees(SYMBOL)
        assert site.ledger(SYMBOL)["version"] == version
        assert site.told(SYMBOL) == ["HOLD_SET", "AUTO_REPAIR", "ORPHAN_ORDER"]


async def test_a_result_that_became_a_dead_letter_leaves_a_case_that_ends_by_itself(
    reconciled: Reconciled,
) -> None:
    """In hedge mode nothing says which leg the result of an unknown plan moved; the trades do."""
    site = reconciled
    site.exchange.set_hedge_mode(True)
    async with site.daemon():
        order = site.lost(SYMBOL, "-0.5", position_side="SHORT")
        site.publish_result(executed("unknown", SYMBOL, order.order_id, "SELL", "0.5"))
        repair = await site.repaired(SYMBOL)
        assert sec_between(order, repair) < REPAIRED_WITHIN_SEC
        assert named(repair) == [(order.client_order_id, "own_orphan", "0.5")]
        (letter,) = site.dead_letters(RESULTS)
        assert letter["order_id"] == str(order.order_id)
        assert site.event(SYMBOL, "RESULT_UNJOINED") is not None


async def test_each_leg_is_settled_by_itself(reconciled: Reconciled) -> None:
    site, exchange = reconciled, reconciled.exchange
    exchange.set_hedge_mode(True)
    site.moved(SYMBOL, "2", position_side="LONG")
    site.moved(SYMBOL, "-1", position_side="SHORT")
    async with site.daemon():
        # The legs' sum does not move.
        long = site.lost(SYMBOL, "0.5", position_side="LONG")
        short = site.moved(SYMBOL, "-0.5", position_side="SHORT")
        repair = await site.outcome(SYMBOL)
        assert sec_between(short, repair) < REPAIRED_WITHIN_SEC
        assert named(repair) == [(long.client_order_id, "own_orphan", "0.5")]
        state = await site.needs_person(SYMBOL)
        assert named(state) == [(short.client_order_id, "manual", "0.5")]
        stored = site.ledger(SYMBOL)
        assert (stored["long_amt"], stored["short_amt"], stored["last_known_amt"]) == ("2.5", "-1", "1.5")
        site.moved(SYMBOL, "0.5", position_side="SHORT")
        await site.released(SYMBOL)
        site.assert_agrees(SYMBOL)
