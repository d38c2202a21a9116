"""Executors that do not know what became of their order, and operators who set only the sum of a ledger."""

from __future__ import annotations

import json
import re
import signal
from decimal import Decimal

import trio

from brain.execution.orders import client_order_id
from brain.identifiers import PlanId
from simulator import MarketOrder, Order, SimulatedExchange
from tests.brain.unknown_wordings import UNKNOWN
from tests.integration.http_side import status
from tests.integration.pipeline import EVENTS, RESULTS, Pipeline, full_close
from tests.integration.rigs import QUARTER, Rig, running_rig
from tests.integration.site import Site
from tests.integration.surroundings import SYMBOLS, stream_is_trusted, trade
from tests.integration.waiting import until, until_async

GRACE = QUARTER | {"P33_PERMIT_TTL": "6", "P33_EXECUTION_GRACE_SEC": "4"}
GRACE_ENDS_SEC = 10.0
#: Worth enough for an order of 1.
VALUABLE = ("ETHUSDT", "SOLUSDT", "LTCUSDT", "BCHUSDT", "BTCUSDT")
UNKNOWN_KEY = "quantum:p33:unknown"


def partial_close(symbol: str) -> dict[str, str]:
    return full_close(symbol) | {"action": "PARTIAL_75"}


def refused(plan_id: str, symbol: str, **fields: str) -> dict[str, str]:
    return {"plan_id": plan_id, "symbol": symbol, "executed": "False", **fields}


async def hold_four(exchange: SimulatedExchange, pipeline: Pipeline, symbol: str) -> None:
    """Open 4 and report it."""
    pipeline.publish_fill(f"open-{symbol}", trade(exchange, symbol, "BUY", "4"))
    await pipeline.ledger_reaches(symbol, "4")


async def may_close(pipeline: Pipeline, plan_id: str, fields: dict[str, str]) -> Decimal | str:
    """Consume a plan's permit; return the quantity that it may close, or the reason of its deny."""
    permit = await pipeline.ask(plan_id, fields)
    if not permit["allow"]:
        return str(permit["reason"])
    assert pipeline.redis.delete(f"quantum:permit:p33:{plan_id}") == 1
    return Decimal(permit["safe_close_qty"])


def send(exchange: SimulatedExchange, plan_id: str, symbol: str, *, client_order_id: str | None) -> Order:
    """Close 3 for a plan; the answer gets lost."""
    order = MarketOrder(
        symbol=symbol, side="SELL", quantity=Decimal(3), reduce_only=True, client_order_id=client_order_id
    )
    return exchange.place_order(order)


async def test_an_unknown_order_covers_its_quantity_until_evidence_a_result_or_the_grace() -> None:
    async with running_rig(GRACE) as rig:
        await rig.trusts_the_stream()
        async with trio.open_nursery() as nursery:
            fates = (filled_and_shown, shown_first, reported_later, never_filled, unlinked)
            for symbol, fate, text in zip(VALUABLE, fates, UNKNOWN[::7], strict=False):
                nursery.start_soon(fate, rig, symbol, text)
        assert (await rig.status())["unknown_executions"]["count"] == 0
        assert rig.pipeline.dead_letters(RESULTS) == []
        await rig.assert_nothing_restarted()


async def unknown_close(rig: Rig, symbol: str, text: str) -> str:
    """Close 3 of 4, without an answer; the plan's id."""
    plan_id = f"plan-{symbol}"
    await hold_four(rig.exchange, rig.pipeline, symbol)
    assert await may_close(rig.pipeline, plan_id, partial_close(symbol)) == 3
    rig.pipeline.publish_result(refused(plan_id, symbol, error=text))
    await until(lambda: rig.pipeline.redis.hexists(UNKNOWN_KEY, plan_id), f"{plan_id} is unknown")
    return plan_id


async def filled_and_shown(rig: Rig, symbol: str, text: str) -> None:
    """Fill the order a moment later, and the stream shows it under the plan's client order id."""
    plan_id = await unknown_close(rig, symbol, text)
    assert await may_close(rig.pipeline, f"rest-{symbol}", full_close(symbol)) == 1
    rig.pipeline.publish_result(refused(f"rest-{symbol}", symbol, error="no"))
    send(rig.exchange, plan_id, symbol, client_order_id=client_order_id("quantum", PlanId(plan_id)))
    await rig.pipeline.ledger_reaches(symbol, "1")
    assert await may_close(rig.pipeline, f"last-{symbol}", full_close(symbol)) == 1


async def shown_first(rig: Rig, symbol: str, text: str) -> None:
    """Fill the order before the executor gives up, and its result names the client order id."""
    plan_id = f"plan-{symbol}"
    await hold_four(rig.exchange, rig.pipeline, symbol)
    assert await may_close(rig.pipeline, plan_id, partial_close(symbol)) == 3
    send(rig.exchange, plan_id, symbol, client_order_id="desk-1")
    await rig.pipeline.snapshot_reaches(symbol, "1")
    assert await may_close(rig.pipeline, f"rest-{symbol}", full_close(symbol)) == "in_flight_permit"
    details = json.dumps({"error": text, "client_order_id": "desk-1"})
    rig.pipeline.publish_result(refused(plan_id, symbol, details=details))
    await rig.pipeline.ledger_reaches(symbol, "1")
    assert await may_close(rig.pipeline, f"last-{symbol}", full_close(symbol)) == 1


async def reported_later(rig: Rig, symbol: str, text: str) -> None:
    """Look the order up as the executor, and report it."""
    plan_id = await unknown_close(rig, symbol, text)
    order = send(rig.exchange, plan_id, symbol, client_order_id=None)
    rig.pipeline.publish_fill(plan_id, order)
    await rig.pipeline.ledger_reaches(symbol, "1")
    assert not rig.pipeline.redis.hexists(UNKNOWN_KEY, plan_id)


async def never_filled(rig: Rig, symbol: str, text: str) -> None:
    """Nothing ever comes of the order."""
    began_sec = trio.current_time()
    plan_id = await unknown_close(rig, symbol, text)
    status = await rig.status()
    assert plan_id in [each["plan_id"] for each in status["unknown_executions"]["executions"]]
    assert "unknown execution" in await rig.get("/")
    assert re.search(r"^p33_unknown_executions [1-9]", await rig.get("/metrics"), re.MULTILINE)

    async def free() -> bool:
        await trio.sleep(0.3)
        probe = f"at-{trio.current_time()}-{symbol}"
        answer = await may_close(rig.pipeline, probe, full_close(symbol))
        if answer == 1:
            rig.pipeline.publish_result(refused(probe, symbol, error="no"))
        assert answer in (1, 4, "in_flight_permit"), answer
        return answer == 4

    await until_async(free, "the grace ends", GRACE_ENDS_SEC + 8)
    assert trio.current_time() - began_sec >= GRACE_ENDS_SEC - 0.5


async def unlinked(rig: Rig, symbol: str, text: str) -> None:
    """Nothing joins the fill to the plan: it belongs to no plan, and the symbol stays closed to more."""
    plan_id = await unknown_close(rig, symbol, text)
    send(rig.exchange, plan_id, symbol, client_order_id=None)
    await rig.pipeline.snapshot_reaches(symbol, "1")
    assert await may_close(rig.pipeline, f"rest-{symbol}", full_close(symbol)) == "in_flight_permit"
    await trio.sleep(GRACE_ENDS_SEC)
    answer = await may_close(rig.pipeline, f"last-{symbol}", full_close(symbol))
    assert answer == "reconcile_required_qty_mismatch"
    assert rig.pipeline.ledger_amount(symbol) == "4"
    events = [fields for _, fields in rig.pipeline.entries(EVENTS)]
    assert [each["event"] for each in events if each["symbol"] == symbol] == ["LEDGER_DIVERGED"]


async def test_an_unknown_order_is_still_unknown_after_a_kill(site: Site) -> None:
    symbol, plan_id = SYMBOLS[0], PlanId("plan")
    async with site.daemon() as first:
        await first.ready()
        await hold_four(site.exchange, site, symbol)
        assert await may_close(site, plan_id, partial_close(symbol)) == 3
        site.publish_result(refused(plan_id, symbol, error=UNKNOWN[0]))
        await until(lambda: site.redis.hexists(UNKNOWN_KEY, plan_id), "the outcome is unknown")
        await first.stop(signal.SIGKILL)
    async with site.daemon() as second:
        await stream_is_trusted(await second.ready())
        assert await may_close(site, "rest", full_close(symbol)) == 1
        site.publish_result(refused("rest", symbol, error="no"))
        send(site.exchange, plan_id, symbol, client_order_id=client_order_id("quantum", plan_id))
        await site.ledger_reaches(symbol, "1")
        assert await may_close(site, "last", full_close(symbol)) == 1


async def test_a_refusal_that_quotes_its_whole_permit_frees_it() -> None:
    async with running_rig({}) as rig:
        symbol = SYMBOLS[0]
        await hold_four(rig.exchange, rig.pipeline, symbol)
        permit = await rig.pipeline.ask("plan", partial_close(symbol))
        rig.pipeline.redis.delete("quantum:permit:p33:plan")
        details = json.dumps({"permit": permit, "kind": "permit_consumed"}, default=str)
        rig.pipeline.publish_result(refused("plan", symbol, error="binance_error:-2019", details=details))
        await rig.pipeline.nothing_pends(RESULTS)
        assert await may_close(rig.pipeline, "all", full_close(symbol)) == 4


async def test_a_result_waits_named_until_the_legs_of_its_ledger_are_set(site: Site) -> None:
    symbol, exchange = SYMBOLS[1], site.exchange
    exchange.set_hedge_mode(True)
    ledger = f"quantum:position:ledger:{symbol}"
    for side, leg, amount in (("BUY", "LONG", 4), ("SELL", "SHORT", 2)):
        exchange.place_order(
            MarketOrder(
                symbol=symbol,
                side="BUY" if side == "BUY" else "SELL",
                quantity=Decimal(amount),
                position_side="LONG" if leg == "LONG" else "SHORT",
            )
        )
    close_long = partial_close(symbol) | {"positionSide": "LONG"}
    async with site.daemon() as daemon:
        url = await daemon.ready()
        await stream_is_trusted(url)
        assert await may_close(site, "plan", close_long) == 3
        site.redis.delete(ledger)
        site.redis.hset(ledger, mapping={"last_known_amt": "2"})
        order = exchange.place_order(
            MarketOrder(symbol=symbol, side="SELL", quantity=Decimal(3), position_side="LONG")
        )
        site.publish_fill("plan", order)

        async def named() -> bool:
            return "long_amt and short_amt" in str((await status(url))["ledgers"]["waiting_results"])

        await until_async(named, "the result is named")
        assert await may_close(site, "other", close_long) == "reconcile_required_qty_mismatch"
        assert f"{symbol}: A result waits: " in daemon.output
        assert site.dead_letters(RESULTS) == []
        site.redis.hset(ledger, mapping={"long_amt": "4", "short_amt": "-2"})
        await until(lambda: site.ledger(symbol)["long_amt"] == "1", "the fill is booked", 10)
        assert site.ledger(symbol)["last_known_amt"] == "-1"
        assert await may_close(site, "last", close_long | {"action": "FULL_CLOSE_PROPOSED"}) == 1
        assert "Actor failed" not in daemon.output
