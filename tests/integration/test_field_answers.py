"""Answers of an exchange in trouble: bombs, the web firewall, maintenance, refused keys."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import msgspec
import trio

from commands.clients.embedded_redis import private_redis
from simulator import RunningSimulator, SimulatedExchange, StreamServer
from simulator.faults import Faults
from tests.integration.daemon_process import DaemonProcess, daemon_process
from tests.integration.exchange_process import ExchangeProcess, exchange_process
from tests.integration.pipeline import Pipeline, entry
from tests.integration.rigs import QUARTER, Case, Rig, every, side_by_side
from tests.integration.surroundings import POSITION_RISK, environment, is_unready
from tests.integration.under_fire import restarts
from tests.integration.waiting import until_async

BOMBS = [(fault, status) for fault in ("huge", "gzip_bomb") for status in (200, 503)]
BOMB_MB = 200
MOST_STALL_SEC = 0.1
MOST_GROWTH_MB = 64.0


class Probes:
    """Round trips to the daemon's HTTP side, less what either process waited for a processor."""

    def __init__(self, daemon: DaemonProcess, url: str) -> None:
        self.daemon, self._url = daemon, url
        self.longest_sec = 0.0
        self.count = 0

    async def run(self) -> None:
        """Ask again and again, until cancelled."""
        async with httpx.AsyncClient(trust_env=False) as client:
            while True:
                await trio.sleep(0.005)
                waited_sec, began_sec = self.daemon.run_delay_sec(), trio.current_time()
                await client.get(f"{self._url}/healthz", timeout=20)
                took_sec = trio.current_time() - began_sec - (self.daemon.run_delay_sec() - waited_sec)
                self.longest_sec = max(self.longest_sec, took_sec)
                self.count += 1


@contextmanager
def peak_growth_mb(pid: int) -> Iterator[list[float]]:
    """Measure by how much the block makes a process's memory grow at most (10^6 bytes)."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")
    before, growth = memory_mb(pid, "VmRSS"), [0.0]
    yield growth
    growth[0] = memory_mb(pid, "VmHWM") - before


def memory_mb(pid: int, field: str) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:")) * 1024 / 1e6


async def test_a_bomb_of_200_mb_neither_stalls_the_loop_nor_fills_the_memory() -> None:
    """The exchange is a process of its own: what it takes to send so much is not ours."""
    async with private_redis() as redis_url, exchange_process() as exchange:
        account = SimulatedExchange()
        simulator = RunningSimulator(account, StreamServer(account), exchange.addresses)
        often = {"P33_AUDIT_SEC": "0.5", "P33_POLL_SEC": "0.5"}
        async with daemon_process(environment(redis_url, simulator, often)) as daemon:
            url = await daemon.ready()
            pipeline, probes = Pipeline(redis_url), Probes(daemon, url)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(probes.run)
                await trio.sleep(1)
                for fault, status in BOMBS:
                    stall_sec = await longest_stall_sec(probes, exchange, fault, status)
                    if stall_sec > MOST_STALL_SEC:
                        # A host that stops this machine for a moment does so once; a bomb stalls each time.
                        stall_sec = await longest_stall_sec(probes, exchange, fault, status)
                    assert stall_sec <= MOST_STALL_SEC, (fault, status)
                nursery.cancel_scope.cancel()
            assert probes.count > 100, probes.count
            answer = await pipeline.ask("after", entry("BTCUSDT", "0.01"))
            assert answer["reason"] == "open_permit_granted", answer
            assert daemon.alive and await restarts(url) == {}


async def longest_stall_sec(probes: Probes, exchange: ExchangeProcess, fault: str, status: int) -> float:
    """Answer one read with a bomb, hold the memory to its bound; return the longest round trip."""
    faults: dict[str, object] = {"odd_body_status": status, "huge_body_mb": BOMB_MB}
    faults |= {"rest_fault_paths": [POSITION_RISK], "rest_faults_next": [fault]}
    probes.longest_sec = 0.0
    with peak_growth_mb(probes.daemon.process.pid) as growth_mb:
        await exchange.control("faults", faults)
        await until_async(lambda: struck(exchange.addresses.rest_url), fault, within_sec=20)
        await trio.sleep(2)
    assert growth_mb[0] <= MOST_GROWTH_MB, (fault, status, growth_mb)
    return probes.longest_sec


async def struck(rest_url: str) -> bool:
    """Look whether the fault that waits was taken by a request."""
    await trio.sleep(0.05)
    async with httpx.AsyncClient(trust_env=False) as client:
        body = (await client.get(f"{rest_url}/simulator/faults", timeout=20)).content
    return not msgspec.json.decode(body, type=Faults).rest_faults_next


#: By fault, what `/readyz` has to say of it.
CAUSES = {
    "403": ("403", "firewall"),
    "-1016": ("maintenance",),
    "-1109": ("maintenance",),
    "239999": ("maintenance",),
    "html_maintenance": ("maintenance",),
    "418": ("418", "banned"),
}


async def test_readyz_names_what_the_exchange_refuses() -> None:
    """The stream is away, too, so that snapshots grow old; requests grow rare."""

    async def run(fault: str, rig: Rig) -> None:
        exchange, faults = rig.exchange, rig.exchange.faults
        faults.rest_fault_rates, faults.refuse_streams = {fault: 1.0}, True  # type: ignore[dict-item]
        faults.retry_after_header = faults.banned_until_text = "missing"
        began_ms = exchange.host_ms()
        await rig.simulator.streams.reset("private")
        await is_unready(rig.url, *CAUSES[fault], within_sec=15)
        asked = len(exchange.requests.records(since_ms=began_ms))
        seconds = (exchange.host_ms() - began_ms) / 1000
        assert asked <= 12 + seconds, f"{asked} requests in {seconds:.0f} s"

    settings = QUARTER | {"P33_AUDIT_MAX_AGE_SEC": "2"}
    refused = Case("-2015", wrong_rights, settings)
    await side_by_side(*every(list(CAUSES), run, settings=settings), refused)


async def wrong_rights(rig: Rig) -> None:
    """Take the key's rights while the daemon runs."""
    rig.exchange.portfolio_margin = True
    await rig.simulator.streams.reset("private")
    await is_unready(rig.url, "-2015", within_sec=15)
