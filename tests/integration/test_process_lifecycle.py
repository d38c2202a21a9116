"""Start, output and end of the process."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import pytest
import trio

from commands.clients.embedded_redis import private_redis_server
from simulator import RunningSimulator
from tests.integration.daemon_process import daemon_process
from tests.integration.pipeline import entry, full_close
from tests.integration.site import Site
from tests.integration.surroundings import environment, is_unready, trade
from tests.integration.waiting import until

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


#: The lines that operators grep for, word for word.
LINES = (
    r"P3\.3_BUILD_TAG=\S+",
    r"P3\.3 snapshot config: ONDEMAND=true TTL=300s",
    r"P3\.3 candidate config: INTENT_WINDOW=1800s, TARGET_CYCLE=3\.0s, MIN_TOP_K=20",
    r"P3\.3 allowlist source=\S+ stale=\S+ count=16 asof_epoch=\S+ age_s=\S+",
    r"Consumer group: p33 on quantum:stream:apply\.plan",
    r"ETHUSDT: P3\.3 ALLOW plan the-plan \(safe_qty=0\.5, exchange_amt=0\.5\)",
    r"BTCUSDT: P3\.3 ALLOW OPEN plan open-btc \(exchange_amt=0, reduceOnly=false\)",
    r"NOPEUSDT: P3\.3 DENY plan no-posit reason=symbol_not_in_allowlist context=\S+",
    r"ETHUSDT: Ledger updated from order \d+, lag=\d+\.\d+s",
    r"P3\.3 snapshot: candidates=\d+, cycle_ms=\d+, ewma_ms=\d+",
)
SECRETS = {
    "BINANCE_API_KEY": "simulator-api-key",
    "BINANCE_API_SECRET": "simulator-api-secret",
    "P33_PERMIT_SIGNING_KEY": "of-the-permits-and-nothing-else",
    "REDIS_PASSWORD": "not-even-asked-for",
}


async def test_the_log_has_the_lines_that_operators_look_for_and_no_secret(site: Site) -> None:
    exchange = site.exchange
    site.redis.config_set("requirepass", SECRETS["REDIS_PASSWORD"])
    secrets = {name: SECRETS[name] for name in ("P33_PERMIT_SIGNING_KEY", "REDIS_PASSWORD")}
    async with site.daemon(secrets) as daemon:
        await daemon.ready()
        site.publish_fill("x", trade(exchange, "ETHUSDT", "BUY", "0.5"))
        await site.ledger_reaches("ETHUSDT", "0.5")
        for plan_id, fields in {
            "the-plan-to-close": full_close("ETHUSDT"),
            "open-btc": entry("BTCUSDT", "0.01"),
            "no-position": entry("NOPEUSDT", "1"),
        }.items():
            await site.ask(plan_id, fields)
        assert await daemon.stop(signal.SIGTERM) == 0
        for line in LINES:
            assert re.search(rf"Z INFO  {line}( |$)", daemon.output, re.MULTILINE), line
        said = daemon.output + daemon.errors
        assert daemon.errors == ""
        listen_key = exchange.listen_keys.live
        assert listen_key is not None and listen_key not in said
        for name, secret in SECRETS.items():
            assert secret not in said, name
            assert re.search(rf"Setting {name}=\*\*\* \(env\)", said), name


async def test_the_log_is_json_when_asked_for(site: Site) -> None:
    async with site.daemon({"P33_LOG_FORMAT": "json"}) as daemon:
        await until(lambda: "Consumer group: p33" in daemon.output, "the group is created", within_sec=10)
        assert all(line.startswith('{"ts": "') and line.endswith("}") for line in daemon.output.splitlines())
