"""Start and end of the process."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
import trio

from commands.clients.embedded_redis import private_redis_server
from simulator import RunningSimulator
from tests.integration.daemon_process import daemon_process
from tests.integration.pipeline import entry
from tests.integration.site import Site
from tests.integration.surroundings import environment, is_unready

STOPS = (signal.SIGTERM, signal.SIGINT)
STOP_SEC = 5.0


@pytest.mark.parametrize("number", STOPS)
async def test_a_signal_ends_it_in_order_within_five_seconds(site: Site, number: signal.Signals) -> None:
    async with site.daemon() as daemon:
        await daemon.ready()
        await site.ask("last", entry("BTCUSDT", "0.01"))
        asked_sec = trio.current_time()
        assert await daemon.stop(number, STOP_SEC) == 0
        # It does not wait: neither for a blocking read nor for the lease.
        assert trio.current_time() - asked_sec < 1.5
        assert site.redis.get("quantum:p33:lease") is None
        assert "Stopped" in daemon.output.splitlines()[-1]
        assert "Traceback" not in daemon.output + daemon.errors


@pytest.mark.parametrize("number", STOPS)
async def test_a_signal_ends_it_while_redis_is_away(
    simulator: RunningSimulator, number: signal.Signals
) -> None:
    async with (
        private_redis_server() as server,
        daemon_process(environment(server.url, simulator, {})) as daemon,
    ):
        url = await daemon.ready()
        await server.kill()
        await is_unready(url, "Redis")
        assert await daemon.stop(number, STOP_SEC) == 0
        assert "Actor failed" not in daemon.output


async def test_a_signal_ends_it_while_redis_answers_nothing(site: Site) -> None:
    async with site.daemon() as daemon:
        url = await daemon.ready()
        site.redis.client_pause(8_000)
        await is_unready(url, "Redis")
        assert await daemon.stop(signal.SIGTERM, STOP_SEC) == 0


async def test_a_signal_ends_it_while_the_exchange_hangs(site: Site) -> None:
    site.exchange.faults.rest_fault_rates = {"hang": 1.0}
    async with site.daemon() as daemon:
        await is_unready(await daemon.url(), "exchangeInfo")
        assert await daemon.stop(signal.SIGTERM, STOP_SEC) == 0
        assert "Actor failed" not in daemon.output


async def test_a_signal_ends_it_while_nothing_is_there_at_all(
    simulator: RunningSimulator, tmp_path: Path
) -> None:
    nowhere = {
        "BINANCE_REST_URL": "http://127.0.0.1:1",
        "BINANCE_WS_URL": "ws://127.0.0.1:1",
    }
    async with daemon_process(environment(f"unix://{tmp_path}/none", simulator, nowhere)) as daemon:
        shown = await is_unready(await daemon.url(), "Redis", str(tmp_path))
        assert not shown.ready
        assert await daemon.stop(signal.SIGTERM, STOP_SEC) == 0
        assert "Actor failed" not in daemon.output


BAD_SETTINGS = {
    "P33_COOLDOWN_SEC": "-1",
    "P33_SHARDS": "0",
    "P33_STALE_THRESHOLD_SEC": "ten",
    "P33_QTY_TOLERANCE_PCT": "NaN",
    "P33_LOG_FORMAT": "xml",
    "REDIS_PORT": "70000",
    "BINANCE_REST_URL": "https://fapi.binance.com",
    "P33_AUDIT_SEC": "30",
}


@pytest.mark.parametrize("name", BAD_SETTINGS)
async def test_a_bad_setting_is_one_line_and_exit_code_seventy_eight(
    simulator: RunningSimulator, tmp_path: Path, name: str
) -> None:
    environ = environment(f"unix://{tmp_path}/none", simulator, {name: BAD_SETTINGS[name]})
    async with daemon_process(environ) as daemon:
        assert await daemon.ends(within_sec=10) == 78
        assert daemon.output == ""
        (line,) = daemon.errors.splitlines()
        assert name in line
        assert BAD_SETTINGS[name] in line


async def test_a_missing_credential_is_one_line_that_names_it(
    simulator: RunningSimulator, tmp_path: Path
) -> None:
    environ = environment(f"unix://{tmp_path}/none", simulator, {})
    del environ["BINANCE_API_SECRET"]
    async with daemon_process(environ) as daemon:
        assert await daemon.ends(within_sec=10) == 78
        (line,) = daemon.errors.splitlines()
        assert "BINANCE_API_SECRET" in line
        assert environ["BINANCE_API_KEY"] not in line


async def test_an_unknown_name_is_a_warning_with_the_nearest_known_one(site: Site) -> None:
    unknown = {"P33_COLDOWN_SEC": "5"}
    async with site.daemon(unknown) as daemon:
        await daemon.url()
        (line,) = [line for line in daemon.output.splitlines() if "P33_COLDOWN_SEC" in line]
        assert " WARN " in line
        assert "did you mean P33_COOLDOWN_SEC?" in line
