"""The content of the daemon's log, without any secret, whatever goes wrong and whatever the level."""

from __future__ import annotations

import json
import re
import signal
from collections import Counter

import pytest

from simulator import RunningSimulator
from simulator.faults import RestFault
from tests.integration.daemon_process import DaemonProcess
from tests.integration.pipeline import PLANS, entry, full_close
from tests.integration.site import Site
from tests.integration.surroundings import SYMBOLS, is_ready
from tests.integration.waiting import until

SECRETS = {
    "BINANCE_API_KEY": "simulator-api-key",
    "BINANCE_API_SECRET": "simulator-api-secret",
    "P33_PERMIT_SIGNING_KEY": "of-the-permits-and-nothing-else",
    "REDIS_PASSWORD": "not-even-asked-for",
}
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
FAULTS: tuple[RestFault, ...] = ("reset", "5xx", "truncated", "not_json")
#: As systemd does it: the variable names what standard output is.
READ_BY_JOURNAL = """
import os, sys, commands
stream = os.fstat(1)
os.environ["JOURNAL_STREAM"] = f"{stream.st_dev}:{stream.st_ino}"
sys.exit(commands.main(["run"]))
"""
DECISION = re.compile(r"\bP3\.3 (?:ALLOW|ALLOW OPEN|DENY) plan (\S+)")


async def trouble(simulator: RunningSimulator, daemon: DaemonProcess) -> set[str]:
    """Cause every error that could show an address, a key or a signature; return the listen keys."""
    exchange = simulator.exchange
    keys: set[str | None] = set()

    async def is_connected() -> None:
        """Wait until the exchange has a private connection: only then does an expired key send its event."""
        await until(lambda: simulator.streams.connection_count("private") == 1, "connected", within_sec=30)
        keys.add(exchange.listen_keys.live)

    for fault in FAULTS:
        await is_connected()
        exchange.faults.rest_faults_next = [fault] * 3
        exchange.expire_listen_key(now=True)
        await until(lambda: not exchange.faults.rest_faults_next, f"{fault} was met", within_sec=30)
    await is_connected()
    exchange.faults.rest_faults_next = ["429"]
    exchange.faults.refuse_streams = True
    exchange.expire_listen_key(now=True)
    await until(lambda: "private stream: not connected" in daemon.output, "a refusal", within_sec=30)
    return {key for key in keys if key is not None}


def own_secrets(site: Site) -> dict[str, str]:
    """Give Redis its password; return the settings with the secrets that are no keys of the exchange."""
    site.redis.config_set("requirepass", SECRETS["REDIS_PASSWORD"])
    return {name: SECRETS[name] for name in ("P33_PERMIT_SIGNING_KEY", "REDIS_PASSWORD")}


async def test_the_log_has_the_lines_that_operators_look_for_and_no_secret(site: Site) -> None:
    async with site.daemon(own_secrets(site)) as daemon:
        await daemon.ready()
        site.fill("x", "ETHUSDT", "BUY", "0.5")
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
        listen_key = site.exchange.listen_keys.live
        assert listen_key is not None and listen_key not in said
        for name, secret in SECRETS.items():
            assert secret not in said, name
            assert re.search(rf"Setting {name}=\*\*\* \(env\)", said), name


async def test_the_log_is_json_when_asked_for(site: Site) -> None:
    async with site.daemon({"P33_LOG_FORMAT": "json"}) as daemon:
        await until(lambda: "Consumer group: p33" in daemon.output, "the group is created", within_sec=10)
        assert all(line.startswith('{"ts": "') and line.endswith("}") for line in daemon.output.splitlines())


@pytest.mark.parametrize("log_format", ["text", "json"])
async def test_no_secret_is_logged_at_the_lowest_level(site: Site, log_format: str) -> None:
    settings = {"P33_LOG_LEVEL": "DEBUG", "P33_LOG_FORMAT": log_format, **own_secrets(site)}
    async with site.daemon(settings) as daemon:
        url = await address(daemon)
        await is_ready(lambda: url)
        permit = await site.ask("signed", entry("BTCUSDT", "0.01"))
        listen_keys = await trouble(site.simulator, daemon)
        # A wrong password is reported by Redis, in its own words.
        site.redis.config_set("requirepass", "changed-behind-its-back")
        site.redis.client_kill_filter(_type="normal", skipme=True)
        await until(lambda: "is away" in daemon.output, "Redis refuses", within_sec=10)
        assert await daemon.stop(signal.SIGTERM) == 0
        said = daemon.output + daemon.errors
    assert permit["signature"]
    assert len(listen_keys) > 1
    for secret in (*SECRETS.values(), *listen_keys, permit["signature"]):
        assert secret not in said
    # Nor anything else that looks like one: signatures are 64 hexadecimal digits.
    assert re.findall(r"\b[0-9a-f]{64}\b", said) == []
    assert re.findall(r"signature=(?!\*\*\*)\S+", said) == []


async def test_every_decision_is_one_line_however_many_are_alike(site: Site) -> None:
    plans = [f"{number:04d}-plan" for number in range(300)]
    async with site.daemon() as daemon:
        await daemon.ready()
        site.fill("x", "ETHUSDT", "BUY", "0.5")
        await site.ledger_reaches("ETHUSDT", "0.5")
        for number, plan_id in enumerate(plans):
            symbol = SYMBOLS[number % 4]
            site.publish_plan(plan_id, full_close(symbol) if number % 3 else entry(symbol, "1"))
        await site.decided_once(plans, within_sec=20)
        await site.nothing_pends(PLANS)
        assert await daemon.stop(signal.SIGTERM) == 0
        shown = Counter(DECISION.findall(daemon.output))
        assert shown == Counter(plan_id[:8] for plan_id in plans)


async def test_a_clean_stop_warns_of_nothing(site: Site) -> None:
    async with site.daemon() as daemon:
        await daemon.ready()
        assert await daemon.stop(signal.SIGTERM) == 0
        _, _, last_words = daemon.output.partition("Stopping signal=SIGTERM")
        assert "private stream: lost" in last_words
        assert re.findall(r"^\S+ (?:WARN |ERROR|FATAL) .*", last_words, re.MULTILINE) == []


async def test_under_systemd_each_line_has_its_priority(site: Site) -> None:
    async with site.daemon({"P33_COLDOWN_SEC": "5"}, ("-c", READ_BY_JOURNAL)) as daemon:
        await daemon.ready()
        assert await daemon.stop(signal.SIGTERM) == 0
        lines = daemon.output.splitlines()
        assert all(re.match(r"<[2-7]>\d{4}-", line) for line in lines)
        assert [line[:3] for line in lines if "P33_COLDOWN_SEC" in line] == ["<4>"]
        assert [line[:3] for line in lines if "P3.3_BUILD_TAG=" in line] == ["<6>"]


async def address(daemon: DaemonProcess) -> str:
    """Return its address, in either format of the log."""

    def look() -> str | None:
        for line in daemon.output.splitlines():
            if line.startswith("{") and (shown := json.loads(line))["message"] == "HTTP":
                return str(shown["address"])
            if found := re.search(r" HTTP address=(\S+)", line):
                return found[1]
        return None

    found = await until(look, "the address in the log", within_sec=15)
    assert found is not None
    return found
