"""A minute of trouble, many kinds side by side: dropped connections, bans, dead keys, changed rules."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Awaitable, Callable
from decimal import Decimal
from functools import partial
from itertools import count
from random import Random

import trio

from simulator import SimulatedExchange, external_events
from simulator.faults import RestFault
from simulator.symbols import load_symbols
from tests.integration.pipeline import AUDIT, Pipeline, entry, full_close
from tests.integration.rigs import Case, Rig, side_by_side
from tests.integration.surroundings import POSITION_RISK, SYMBOLS, is_ready, readiness, trade
from tests.integration.test_field_freshness import (
    DEFAULTS,
    LATENCY_MS,
    connected_times,
    gone,
    is_pushed,
    wipe,
)
from tests.integration.waiting import until, until_async
from tests.soak.gauges import oldest_snapshot_sec

MINUTE_SEC = 60.0
LOOK_SEC = 0.5
STALE_SEC = 10.0
#: After a loss nothing older is relied on until a read is answered; a busy machine adds to its round trip.
READ_SEC = 3.0
#: exchangeInfo is read no more often.
RULES_AT_MOST_EVERY_SEC = 5.0

MOST_CONNECTIONS = 12
MOST_REQUESTS_INTO_A_BAN = 3

MANY_SYMBOLS = 300
PLANS_PER_SEC = 200
DROPS, DROP_EVERY_SEC = 9, 8.0
READY_SHARE, STALE_SHARE, WEIGHT_PER_MIN = 0.9, 0.01, 600

NEW_SYMBOL = "NEWCOINUSDT"

#: The held one is the last by name and by volume, and outside of what is kept warm.
SIXTY = 60
ONE_BY_ONE = {
    "P33_FETCH_MODE": "per_symbol",
    "P33_TARGET_CYCLE_SEC": "0.1",
    "P33_MIN_TOP_K": "6",
    "P33_WEIGHT_BUDGET_PER_MIN": "2400",
}


async def test_a_minute_of_trouble_of_each_kind() -> None:
    listed_later = {"P33_ALLOWLIST": ",".join((*SYMBOLS, NEW_SYMBOL))}
    await side_by_side(
        Case("drops under load", drops_under_load, exchange=many_symbols, latency_ms=300),
        Case("closed at once", accepts_and_closes(closes_after_sec=0.0), latency_ms=50),
        Case("closed within 2 s", accepts_and_closes(closes_after_sec=2.0), latency_ms=50),
        Case("listen key expires at once", accepts_and_closes(closes_after_sec=None), latency_ms=50),
        Case("418, header 0, text past", refuses("418", header="0", text="past"), latency_ms=50),
        Case("418, neither", refuses("418", header="missing", text="missing"), latency_ms=50),
        Case("429, header missing", refuses("429", header="missing", text="missing"), latency_ms=50),
        Case("429, absurd header", refuses("429", header="99999999999", text="missing"), latency_ms=50),
        Case("key deleted", finds_dead_key(lambda rig: rig.exchange.delete_listen_key(silently=True))),
        Case("key replaced", finds_dead_key(lambda rig: rig.exchange.replace_listen_key(silently=True))),
        Case("held outside", finds_the_position, ONE_BY_ONE, partial(sixty, refused=False), latency_ms=50),
        Case("held, no bulk", finds_the_position, ONE_BY_ONE, partial(sixty, refused=True), latency_ms=50),
        Case("defaults, wiped", gone({"wiped": wipe}, DEFAULTS, asking=False), latency_ms=LATENCY_MS),
        Case("rules change", rules_change, listed_later),
    )


def many_symbols() -> SimulatedExchange:
    listed = load_symbols()
    return SimulatedExchange(symbols={name: listed[name] for name in list(listed)[:MANY_SYMBOLS]})


async def drops_under_load(rig: Rig) -> None:
    """The stream breaks every 8 s, nine times, under 200 plans a second on 300 symbols."""
    await rig.trusts_the_stream()
    began_ms = rig.exchange.host_ms()
    rig.exchange.faults.drop_streams_every_sec = DROP_EVERY_SEC
    looks: list[bool] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(publishes_plans, rig)
        nursery.start_soon(looks_at_readiness, rig, looks)
        await trio.sleep(DROPS * DROP_EVERY_SEC + 1)
        nursery.cancel_scope.cancel()
    minutes = (rig.exchange.host_ms() - began_ms) / 60_000
    weight = sum(record.weight for record in rig.exchange.requests.records(since_ms=began_ms)) / minutes
    reasons = Counter(fields["reason"] for _, fields in rig.pipeline.entries(AUDIT))
    stale = sum(reasons[reason] for reason in ("stale_exchange_state", "no_exchange_snapshot"))
    assert rig.simulator.streams.connections_opened("private") > DROPS / 2
    assert reasons.total() > DROPS * DROP_EVERY_SEC * PLANS_PER_SEC * 0.8, reasons
    figures = f"ready {sum(looks)} of {len(looks)}, stale {stale} of {reasons.total()}, weight {weight:.0f}"
    assert sum(looks) >= READY_SHARE * len(looks), figures
    assert stale <= STALE_SHARE * reasons.total(), figures
    assert weight <= WEIGHT_PER_MIN, figures


async def publishes_plans(rig: Rig) -> None:
    symbols = list(rig.exchange.listing.symbols.values())
    plans = {each.name: entry(each.name, str(each.min_qty)) for each in symbols}
    began_sec = trio.current_time()
    for number in count():
        name = symbols[number % len(symbols)].name
        await trio.sleep_until(began_sec + number / PLANS_PER_SEC)
        rig.pipeline.publish_plan(f"plan-{number}", plans[name] | {"timestamp": f"{time.time():.3f}"})


async def looks_at_readiness(rig: Rig, looks: list[bool]) -> None:
    while True:
        status, _ = await readiness(rig.url)
        looks.append(status == 200)
        await trio.sleep(LOOK_SEC)


def accepts_and_closes(*, closes_after_sec: float | None) -> Callable[[Rig], Awaitable[None]]:
    """Close each connection within so many seconds, at random; None: expire the listen key instead."""

    async def run(rig: Rig) -> None:
        await rig.trusts_the_stream()
        random = Random(1)  # noqa: S311 - the same each time
        faults, streams = rig.exchange.faults, rig.simulator.streams
        faults.expire_key_on_connect = closes_after_sec is None
        began_sec = trio.current_time()
        await streams.disconnect("private" if closes_after_sec is None else None)
        symbols = list(rig.exchange.listing.symbols)
        looks: list[bool] = []
        while trio.current_time() < began_sec + MINUTE_SEC:
            if closes_after_sec is not None:
                faults.close_streams_after_sec = random.uniform(0.0, closes_after_sec)
            status, _ = await readiness(rig.url)
            looks.append(status == 200)
            await is_ready(lambda: rig.url, within_sec=READ_SEC)
            assert oldest_snapshot_sec(rig.pipeline, symbols) < STALE_SEC
            await trio.sleep(LOOK_SEC)
        opened = streams.connections_opened(None, began_sec)
        assert sum(looks) >= READY_SHARE * len(looks), f"ready {sum(looks)} of {len(looks)}"
        assert 3 <= opened <= MOST_CONNECTIONS, opened

    return run


def refuses(fault: RestFault, *, header: str, text: str) -> Callable[[Rig], Awaitable[None]]:
    """Answer everything with a ban whose end is not said, or said wrongly."""

    async def run(rig: Rig) -> None:
        await rig.trusts_the_stream()
        exchange, faults = rig.exchange, rig.exchange.faults
        faults.retry_after_header, faults.banned_until_text = header, text
        faults.rest_fault_rates = {fault: 1.0}
        began_ms = exchange.host_ms()
        await trio.sleep(MINUTE_SEC)
        asked = exchange.requests.records(since_ms=began_ms)
        seconds = [round((record.wall_time_ms - began_ms) / 1000, 1) for record in asked]
        assert 1 <= len(asked) <= MOST_REQUESTS_INTO_A_BAN, seconds

    return run


def finds_dead_key(strike: Callable[[Rig], object]) -> Callable[[Rig], Awaitable[None]]:
    """Nothing moves, so that no read can show that the stream is silent."""

    async def run(rig: Rig) -> None:
        await rig.trusts_the_stream()
        connected = connected_times(rig)
        strike(rig)
        await until(
            lambda: connected_times(rig) > connected, "another connection", within_sec=MINUTE_SEC + 5.0
        )
        await rig.trusts_the_stream()
        await trio.sleep(1.1)
        await is_pushed(rig, "BTCUSDT", "0.007")
        assert "stream diverged" not in rig.daemon.output

    return run


async def rules_change(rig: Rig) -> None:
    """A new symbol is known as soon as a plan names it, another step size within a minute."""
    exchange, pipeline = rig.exchange, rig.pipeline
    await trio.sleep(RULES_AT_MOST_EVERY_SEC)
    exchange.list_symbol(
        NEW_SYMBOL, step_size=Decimal("0.1"), tick_size=Decimal("0.01"), first_price=Decimal(100)
    )
    answer = await pipeline.ask("new", entry(NEW_SYMBOL, "0.5"))
    assert answer["reason"] == "open_permit_granted", answer

    pipeline.publish_fill("bought", trade(exchange, "BTCUSDT", "BUY", "0.030"))
    await pipeline.ledger_reaches("BTCUSDT", "0.03")
    assert await half_close(pipeline, "before") == Decimal("0.015")
    exchange.change_step_size("BTCUSDT", Decimal("0.01"))
    began_sec = trio.current_time()
    for number in count():
        if await half_close(pipeline, f"half-{number}") == Decimal("0.01"):
            break
        assert trio.current_time() < began_sec + MINUTE_SEC + 5.0
        await trio.sleep(2)


async def half_close(pipeline: Pipeline, plan_id: str) -> Decimal:
    """Return the quantity that may be closed of half the position; the permit is given back."""
    plan = {
        "symbol": "BTCUSDT", "decision": "EXECUTE", "action": "PARTIAL_50", "side": "CLOSE", "qty": "0",
        "reduceOnly": "True", "timestamp": f"{time.time():.3f}",
    }  # fmt: skip
    answer = await pipeline.ask(plan_id, plan)
    assert answer["allow"], answer
    refused = {"plan_id": plan_id, "symbol": "BTCUSDT", "executed": "False", "error": "order rejected"}
    pipeline.publish_result(refused)
    await pipeline.nothing_pends("quantum:stream:apply.result")
    return Decimal(answer["safe_close_qty"])


def sixty(*, refused: bool) -> SimulatedExchange:
    """Sixty symbols, of which the last by name holds a position; reads of all may be refused."""
    listed = load_symbols()
    exchange = SimulatedExchange(symbols={name: listed[name] for name in sorted(listed)[:SIXTY]})
    exchange.faults.refuse_bulk_positions = refused
    external_events.move_position(exchange, max(exchange.listing.symbols), target=Decimal(-300))
    return exchange


async def finds_the_position(rig: Rig) -> None:
    """It is no candidate: by one read of all symbols, else one by one with the weight that is left."""
    held = max(rig.exchange.listing.symbols)

    async def known() -> bool:
        await trio.sleep(0.05)
        snapshots = (await rig.status())["snapshots"]
        found = bool(rig.pipeline.snapshot(held))
        assert found or snapshots["never_read"] > 0, "it is counted until it was read"
        return found and snapshots["never_read"] == 0

    await until_async(known, f"{held} is known", within_sec=60)
    assert rig.pipeline.snapshot(held)["position_amt"] == "-300"
    await rig.pipeline.ledger_reaches(held, "-300")
    answer = await rig.pipeline.ask("close", full_close(held))
    assert (answer["reason"], answer["safe_close_qty"]) == ("sanity_checks_passed", 300), answer
    reads = rig.exchange.requests.records(path=POSITION_RISK)
    answered = [read for read in reads if "symbol=" not in read.query and read.status == 200]
    assert bool(answered) is not rig.exchange.faults.refuse_bulk_positions
