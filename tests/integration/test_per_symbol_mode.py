"""Without reads in bulk, the candidates stay fresh by single reads, within the budget."""

from __future__ import annotations

import time
from decimal import Decimal

import trio

import settings
from simulator import external_events
from tests.integration.pipeline import EVENTS, entry, full_close
from tests.integration.site import Site
from tests.integration.surroundings import POSITION_RISK, cut_stream
from tests.integration.waiting import until
from wiring.rules import read_pace

WARM = 6
STALE_SEC = 4.0
BUDGET = 2400
#: Reads are wanted far more often than the budget allows; nothing but the pace holds them back.
SETTINGS = {
    "P33_FETCH_MODE": "per_symbol",
    "P33_POLL_SEC": "0.1",
    "P33_STALE_THRESHOLD_SEC": f"{STALE_SEC}",
    "P33_STREAM_PROOF_SEC": "0.1",
    "P33_AUDIT_SEC": "1",
    "P33_TARGET_CYCLE_SEC": "0.1",
    "P33_MIN_TOP_K": f"{WARM}",
    "P33_WEIGHT_BUDGET_PER_MIN": f"{BUDGET}",
}
#: Longer than a snapshot that is not read again is fresh.
LOOKING_SEC = 5.0
LOOK_SEC = 0.05


async def test_the_candidates_stay_fresh_without_a_bulk_read_and_without_the_stream(site: Site) -> None:
    exchange = site.exchange
    exchange.faults.rest_latency_ms = 50
    pace = read_pace(settings.load(site.environ(SETTINGS)).settings)
    began_sec = trio.current_time()
    async with site.service(**SETTINGS) as service:
        candidates = service.channels.candidates

        def warm() -> tuple[str, ...]:
            """Return the candidates, when all of them have a snapshot."""
            symbols = candidates.value.symbols if candidates.value else ()
            return symbols if len(symbols) == WARM and all(map(site.snapshot, symbols)) else ()

        symbols = await until(warm, f"{WARM} candidates with a snapshot", within_sec=10)
        await cut_stream(site.simulator)
        lost_sec = trio.current_time()
        oldest_sec = 0.0
        while trio.current_time() < lost_sec + LOOKING_SEC:
            for symbol in symbols:
                claimed_sec = int(site.snapshot(symbol)["ts_epoch_ms"]) / 1000
                oldest_sec = max(oldest_sec, time.time() - claimed_sec)
            await trio.sleep(LOOK_SEC)
        assert oldest_sec <= STALE_SEC
        assert {site.snapshot(symbol)["verified_by"] for symbol in symbols} == {"rest"}

        answer = await site.ask("plan", entry(symbols[0], "100"), within_sec=10)
        assert answer["reason"] == "open_permit_granted"

        reads = exchange.requests.records(path=POSITION_RISK)
        assert len([read.query for read in reads if "symbol=" not in read.query]) == 1, "the look at all"
        seconds = trio.current_time() - began_sec
        assert WARM * 2 < len(reads) <= pace.burst + pace.per_sec * seconds + 2
        assert sum(record.weight for record in exchange.requests.records()) <= BUDGET
        assert service.restarts() == {}


async def test_the_first_plan_of_a_symbol_that_is_no_candidate_is_decided_on_its_position(site: Site) -> None:
    site.exchange.faults.rest_latency_ms = 50
    site.exchange.faults.refuse_bulk_positions = True
    positions = list(site.exchange.listing.symbols)[::2]
    for symbol in positions:
        external_events.move_position(site.exchange, symbol, target=Decimal(-300))
    async with site.service(**SETTINGS) as service:
        candidates = service.channels.candidates.value
        assert candidates is not None
        # The sweep begins with the first by name, and takes minutes.
        listed = sorted(site.exchange.listing.symbols, reverse=True)
        others = [symbol for symbol in listed if symbol not in candidates.symbols]
        held, closed, *_ = (symbol for symbol in others if symbol in positions)
        flat = next(symbol for symbol in others if symbol not in positions)
        for symbol in (held, closed, flat):
            assert site.snapshot(symbol) == site.ledger(symbol) == {}

        close = await site.ask("close", full_close(held))
        assert (close["reason"], close["safe_close_qty"]) == ("sanity_checks_passed", 300)
        assert close["ledger_position_amt"] == -300
        opening = await site.ask("open", entry(flat, "200"))
        assert opening["reason"] == "open_permit_granted"
        assert site.ledger_amount(flat) == "0"

        # A result before any plan: the position from before it counts, and the fill is counted once.
        site.fill("manual", closed, "BUY", "100")
        await site.ledger_reaches(closed, "-200")
        adopted = [fields["symbol"] for _, fields in site.entries(EVENTS)]
        assert adopted.count(held) == adopted.count(closed) == 1
        reads = site.exchange.requests.records(path=POSITION_RISK)
        assert len([read.query for read in reads if "symbol=" not in read.query]) == 1, "refused, remembered"
        assert service.restarts() == {}


async def test_a_position_from_before_the_start_is_kept_fresh_though_its_symbol_is_rarely_traded(
    site: Site,
) -> None:
    site.exchange.faults.rest_latency_ms = 50
    held = sorted(site.exchange.listing.symbols)[-1]
    external_events.move_position(site.exchange, held, target=Decimal(-300))
    async with site.service(**SETTINGS) as service:
        await site.snapshot_reaches(held, "-300")
        await site.ledger_reaches(held, "-300")
        candidates = service.channels.candidates
        await until(
            lambda: candidates.value is not None and candidates.value.symbols[0] == held,
            "the position as a candidate",
            within_sec=10,
        )
        assert service.channels.never_read.value == ()
        assert service.restarts() == {}


async def test_auto_goes_on_symbol_by_symbol_where_a_read_without_one_is_refused(site: Site) -> None:
    site.exchange.faults.refuse_bulk_positions = True
    settings = SETTINGS | {"P33_FETCH_MODE": "auto"}
    async with site.service(**settings) as service:
        candidates = service.channels.candidates.value
        assert candidates is not None

        def bulk_reads() -> int:
            reads = site.exchange.requests.records(path=POSITION_RISK)
            return len([read for read in reads if "symbol=" not in read.query])

        refused = bulk_reads()
        assert 1 <= refused <= 4, "what was under way when the first was refused"
        answer = await site.ask("plan", entry(candidates.symbols[0], "100"))
        assert answer["reason"] == "open_permit_granted"
        begun_sec = trio.current_time()
        await until(lambda: trio.current_time() > begun_sec + 1, "a second has passed")
        assert bulk_reads() == refused
        assert service.restarts() == {}
