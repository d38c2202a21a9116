"""An account in hedge mode: each leg of a symbol is a position and a ledger of its own."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import msgspec

from simulator import MarketOrder, RunningSimulator
from tests.integration.pipeline import EVENTS, RESULTS, Pipeline, entry, executed, full_close
from tests.integration.site import Site
from tests.integration.test_ledger_sum import details, flat, plain, report_of, steps
from tests.integration.waiting import until

SYMBOL = "ETHUSDT"
#: An answer and a booking take milliseconds; a busy machine may take its time.
PATIENT_SEC = 10.0


def amounts(stored: Mapping[str, str], total: str) -> tuple[str | None, ...]:
    return stored.get("long_amt"), stored.get("short_amt"), stored.get(total)


async def shows_the_exchange(pipeline: Pipeline, simulator: RunningSimulator) -> tuple[str, ...]:
    """Wait until ledger and snapshot hold the legs and their sum as the exchange does; those."""
    long = simulator.exchange.position(SYMBOL, "LONG").amount
    short = simulator.exchange.position(SYMBOL, "SHORT").amount
    expected = (plain(long), plain(short), plain(long + short))
    await until(
        lambda: amounts(pipeline.ledger(SYMBOL), "last_known_amt") == expected,
        f"the ledger at {expected}",
        PATIENT_SEC,
    )
    await until(
        lambda: amounts(pipeline.snapshot(SYMBOL), "position_amt") == expected,
        f"the snapshot at {expected}",
        PATIENT_SEC,
    )
    return expected


async def test_each_leg_is_opened_and_closed_by_itself_and_results_find_it_through_their_plan(
    site: Site,
) -> None:
    exchange = site.exchange
    exchange.set_hedge_mode(True)
    orders = (
        ("open-long", entry(SYMBOL, "0.5", "BUY"), "LONG", flat, ("0.5", "0", "0.5")),
        ("open-short", entry(SYMBOL, "0.3", "SELL"), "SHORT", steps, ("0.5", "-0.3", "0.2")),
        ("add-long", entry(SYMBOL, "0.2", "BUY"), "LONG", details, ("0.7", "-0.3", "0.4")),
        ("close-long", full_close(SYMBOL), "LONG", details, ("0", "-0.3", "-0.3")),
        ("close-short", full_close(SYMBOL), "SHORT", flat, ("0", "0", "0")),
    )
    async with site.daemon() as daemon:
        await daemon.ready()
        for plan_id, fields, leg, dialect, expected in orders:
            permit = await site.ask(plan_id, fields | {"positionSide": leg}, PATIENT_SEC)
            assert permit["allow"], permit
            order = exchange.place_order(
                MarketOrder(
                    symbol=SYMBOL,
                    side="BUY" if permit["order_side"] == "BUY" else "SELL",
                    quantity=Decimal(permit["safe_close_qty"]) or Decimal(fields["qty"]),
                    position_side="LONG" if leg == "LONG" else "SHORT",
                )
            )
            # Nothing in a result names its leg.
            site.publish_result(dialect(msgspec.structs.replace(report_of(order, 0), plan_id=plan_id)))
            assert await shows_the_exchange(site, site.simulator) == expected, plan_id
        assert site.dead_letters(RESULTS) == []
        assert "Actor failed" not in daemon.output


async def test_a_plan_or_result_without_a_leg_is_denied_or_a_dead_letter_and_an_event(site: Site) -> None:
    site.exchange.set_hedge_mode(True)
    async with site.daemon() as daemon:
        await daemon.ready()
        for plan_id, fields in (
            ("entry", entry(SYMBOL, "0.5")),
            ("close", full_close(SYMBOL)),
            ("both", entry(SYMBOL, "0.5") | {"positionSide": "BOTH"}),
        ):
            permit = await site.ask(plan_id, fields, PATIENT_SEC)
            assert (permit["allow"], permit["reason"]) == (False, "position_side_required")
        before = site.ledger(SYMBOL)

        site.publish_result(executed("unknown", SYMBOL, 4711, "BUY", "0.5"))
        await site.nothing_pends(RESULTS, within_sec=PATIENT_SEC)
        (letter,) = site.dead_letters(RESULTS)
        assert (letter["plan_id"], letter["order_id"]) == ("unknown", "4711")
        (event,) = [fields for _, fields in site.entries(EVENTS)]
        assert (event["event"], event["plan_id"]) == ("RESULT_UNJOINED", "unknown")
        assert site.ledger(SYMBOL) == before
        assert "Actor failed" not in daemon.output
