"""Where positions cannot be read in bulk: the candidates stay fresh by single reads, within the budget."""

from __future__ import annotations

import time

import trio

import settings
from actors.rules_from_settings import read_pace
from simulator import RunningSimulator
from tests.integration.pipeline import Pipeline, entry
from tests.integration.service_in_process import running_service
from tests.integration.surroundings import environment
from tests.integration.waiting import until

POSITIONS = "/fapi/v2/positionRisk"
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
#: Longer than a snapshot that nobody reads again is fresh.
LOOKING_SEC = 5.0
LOOK_SEC = 0.05


async def test_the_candidates_stay_fresh_without_a_bulk_read_and_without_the_stream(
    redis_server: str, pipeline: Pipeline, simulator: RunningSimulator
) -> None:
    exchange = simulator.exchange
    exchange.faults.rest_latency_ms = 50
    pace = read_pace(settings.load(environment(redis_server, simulator, SETTINGS)).settings)
    began_sec = trio.current_time()
    async with running_service(redis_server, simulator, **SETTINGS) as service:
        candidates = service.flows.candidates

        def warm() -> tuple[str, ...]:
            """The candidates, when all of them have a snapshot."""
            symbols = candidates.value.symbols if candidates.value else ()
            return symbols if len(symbols) == WARM and all(map(pipeline.snapshot, symbols)) else ()

        symbols = await until(warm, f"{WARM} candidates with a snapshot", within_sec=10)
        exchange.faults.refuse_streams = True
        await simulator.streams.reset("private")
        lost_sec = trio.current_time()
        oldest_sec = 0.0
        while trio.current_time() < lost_sec + LOOKING_SEC:
            for symbol in symbols:
                claimed_sec = int(pipeline.snapshot(symbol)["ts_epoch_ms"]) / 1000
                oldest_sec = max(oldest_sec, time.time() - claimed_sec)
            await trio.sleep(LOOK_SEC)
        assert oldest_sec <= STALE_SEC
        assert {pipeline.snapshot(symbol)["verified_by"] for symbol in symbols} == {"rest"}

        answer = await pipeline.ask("plan", entry(symbols[0], "100"), within_sec=10)
        assert answer["reason"] == "open_permit_granted"

        reads = exchange.requests.records(path=POSITIONS)
        assert [read.query for read in reads if "symbol=" not in read.query] == []
        seconds = trio.current_time() - began_sec
        assert WARM * 2 < len(reads) <= pace.burst + pace.per_sec * seconds + 1
        assert sum(record.weight for record in exchange.requests.records()) <= BUDGET
        assert service.restarts() == {}
