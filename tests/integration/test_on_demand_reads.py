"""A plan whose symbol has no fresh snapshot gets one read of its own, and delays no other plan."""

from __future__ import annotations

import trio
from structlog.testing import capture_logs

from clock import HostClock
from simulator import RunningSimulator
from tests.integration.http_side import metric
from tests.integration.pipeline import entry
from tests.integration.service_in_process import ServiceInProcess
from tests.integration.site import Site
from tests.integration.surroundings import POSITION_RISK, SYMBOLS, cut_stream
from tests.integration.waiting import until

STALE_SEC = 0.6
#: No read comes by itself after the first, and the one that follows the loss of the stream.
SLOW = {
    "P33_POLL_SEC": "3600",
    "P33_STALE_THRESHOLD_SEC": f"{STALE_SEC}",
    "P33_AUDIT_SEC": "0.5",
    "P33_AUDIT_MAX_AGE_SEC": "3600",
    "P33_STREAM_PROOF_SEC": "0.1",
}


async def grown_stale(
    service: ServiceInProcess, simulator: RunningSimulator, *, stale_sec: float = STALE_SEC
) -> None:
    """Refuse the stream, and wait until everything that was read after its loss is stale."""
    await cut_stream(simulator)
    book, clock = service.channels.book, HostClock()
    await until(lambda: book.trust_lost_at is not None, "the stream is lost")

    def stale(symbol: str) -> bool:
        snapshot = book.get(symbol)
        if snapshot is None or not book.is_trusted(snapshot):
            return False
        return snapshot.verified_at.age_sec(clock.now()) > stale_sec

    await until(lambda: all(map(stale, SYMBOLS)), "all snapshots are stale", within_sec=stale_sec + 5)


def single_reads(simulator: RunningSimulator, symbol: str) -> int:
    records = simulator.exchange.requests.records(path=POSITION_RISK)
    return sum(f"symbol={symbol}&" in f"{record.query}&" for record in records)


async def test_a_plan_for_a_stale_symbol_gets_one_read_and_an_answer(site: Site) -> None:
    with capture_logs() as logs:
        async with site.service(**SLOW) as service:
            await grown_stale(service, site.simulator)
            answer = await site.ask("stale", entry("BTCUSDT", "0.01"), within_sec=1.2)
            assert answer["reason"] == "open_permit_granted"
            assert single_reads(site.simulator, "BTCUSDT") == 1
            await until(
                lambda: site.snapshot("BTCUSDT")["verified_by"] == "ondemand",
                "what was read is in Redis too",
            )
            # Whole seconds, of which some may have passed on a busy machine.
            assert 270 < site.redis.ttl("quantum:position:snapshot:BTCUSDT") <= 300
            assert 3000 < site.redis.ttl("quantum:position:snapshot:ETHUSDT") <= 3600
            assert await metric(service.url, "p33_ondemand_snapshots_total") == 1
            assert service.restarts() == {}
    shown = [line["event"] for line in logs if "On-demand" in line["event"] or "_MISS" in line["event"]]
    assert shown == ["BTCUSDT: On-demand snapshot (missing during permit check)"]


async def test_plans_of_one_stale_symbol_share_its_read(site: Site) -> None:
    async with site.service(**SLOW) as service:
        await grown_stale(service, site.simulator)
        site.exchange.faults.rest_latency_ms = 200
        for number in range(5):
            site.publish_plan(f"plan-{number}", entry("BTCUSDT", "0.01"))
        reasons = [(await site.permit(f"plan-{n}", within_sec=1.2))["reason"] for n in range(5)]
        assert reasons == ["open_permit_granted"] + ["in_flight_permit"] * 4
        assert single_reads(site.simulator, "BTCUSDT") == 1


async def test_a_read_that_hangs_is_given_up_in_time_and_delays_no_other_symbol(site: Site) -> None:
    exchange = site.exchange
    async with site.service(**SLOW | {"P33_STALE_THRESHOLD_SEC": "3"}) as service:
        await grown_stale(service, site.simulator, stale_sec=3)
        fresh = await site.ask("fresh", entry("ETHUSDT", "0.01"))
        exchange.faults.rest_fault_paths = [POSITION_RISK]
        exchange.faults.rest_faults_next = ["hang"]
        published_sec = trio.current_time()
        site.publish_plan("hanging", entry("BTCUSDT", "0.01"))
        await until(lambda: single_reads(site.simulator, "BTCUSDT") == 1, "the read is under way")
        for number in range(20):
            answer = await site.ask(f"other-{number}", entry("ETHUSDT", "0.01"), within_sec=0.2)
            assert answer["reason"] == "in_flight_permit"
        assert site.permit_now("hanging") is None
        answer = await site.permit("hanging", within_sec=1.2)
        assert trio.current_time() - published_sec < 1.2
        assert (fresh["reason"], answer["reason"]) == ("open_permit_granted", "stale_exchange_state")


async def test_a_stale_symbol_is_denied_at_once_where_on_demand_reads_are_off(site: Site) -> None:
    settings = SLOW | {"P33_ONDEMAND_SNAPSHOT": "false"}
    with capture_logs() as logs:
        async with site.service(**settings) as service:
            await grown_stale(service, site.simulator)
            answer = await site.ask("stale-plan-1", entry("BTCUSDT", "0.01"))
            assert answer["reason"] == "stale_exchange_state"
            assert single_reads(site.simulator, "BTCUSDT") == 0
            assert await metric(service.url, "p33_ondemand_snapshots_total") == 0
    shown = [line["event"] for line in logs if "On-demand" in line["event"] or "_MISS" in line["event"]]
    assert shown == ["P3.3_SNAPSHOT_MISS symbol=BTCUSDT plan=stale-pl ondemand_enabled=false attempted=false"]
