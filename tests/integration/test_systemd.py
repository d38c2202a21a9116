"""The daemon under a simulated systemd: its notifications, and their end."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trio

from simulator import RunningSimulator
from tests.integration.daemon_process import daemon_process
from tests.integration.site import Site
from tests.integration.surroundings import environment, is_ready
from tests.integration.waiting import until
from tests.supervision.notify_rig import Listener, listening

WATCHDOG_SEC = 1.0
#: SIGUSR1 blocks the thread that everything runs on, and nothing in the process can undo it.
STALLING = """
import signal, sys, time, commands
signal.signal(signal.SIGUSR1, lambda *_: time.sleep(3600))
sys.exit(commands.main(["run"]))
"""


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[Listener]:
    with listening(tmp_path) as listener:
        yield listener


def notify_settings(systemd: Listener, **more: str) -> dict[str, str]:
    """Settings for `environment` that make the daemon report."""
    return {"NOTIFY_SOCKET": systemd.address, "WATCHDOG_USEC": str(round(WATCHDOG_SEC * 1e6)), **more}


async def hear(systemd: Listener, wanted: Callable[[list[str]], bool], what: str) -> list[list[str]]:
    """Listen until such a report came; all reports up to then."""
    heard: list[list[str]] = []

    def look() -> bool:
        heard.extend(systemd.heard())
        return any(map(wanted, heard))

    await until(look, f"{what} shown to systemd", within_sec=20)
    return heard


async def test_it_stands_for_systemd_without_redis_or_exchange_and_names_what_it_waits_for(
    simulator: RunningSimulator, tmp_path: Path, systemd: Listener
) -> None:
    nowhere = {"BINANCE_REST_URL": "http://127.0.0.1:1", "BINANCE_WS_URL": "ws://127.0.0.1:1"}
    settings = notify_settings(systemd, **nowhere)
    async with daemon_process(environment(f"unix://{tmp_path}/none", simulator, settings)) as daemon:
        heard = await hear(systemd, lambda shown: f"{tmp_path}/none" in shown[-1], "the Redis that is away")
        assert [shown[0] for shown in heard if "STATUS" not in shown[0]].count("READY=1") == 1
        assert heard[0][0] == "READY=1" or heard[0] == ["WATCHDOG=1"]
        systemd.heard()
        # Waiting is progress, however long it takes.
        for _ in range(4):
            await hear(systemd, lambda shown: shown == ["WATCHDOG=1"], "progress")
        assert await daemon.stop(signal.SIGTERM) == 0
        assert [shown[0] for shown in systemd.heard() if shown[0].startswith("STOPPING")] == ["STOPPING=1"]


async def test_once_plans_can_be_decided_the_status_says_so_and_a_stop_is_reported(
    site: Site, systemd: Listener
) -> None:
    async with site.daemon(notify_settings(systemd)) as daemon:
        url = await daemon.url()
        await is_ready(lambda: url)
        await hear(systemd, lambda shown: shown[-1].startswith("STATUS=ready"), "that it is ready")
        assert await daemon.stop(signal.SIGTERM) == 0
        stopping = [shown for shown in systemd.heard() if shown != ["WATCHDOG=1"]]
        assert [shown[0] for shown in stopping] == ["STOPPING=1"]
        assert stopping[0][1].startswith("STATUS=stopping")


async def test_a_bad_setting_is_never_taken_for_a_start(
    simulator: RunningSimulator, tmp_path: Path, systemd: Listener
) -> None:
    settings = notify_settings(systemd, P33_SHARDS="0")
    async with daemon_process(environment(f"unix://{tmp_path}/none", simulator, settings)) as daemon:
        assert await daemon.ends(within_sec=10) == 78
        assert systemd.heard() == []


async def test_a_synchronous_stall_stops_the_watchdog(site: Site, systemd: Listener) -> None:
    async with site.daemon(notify_settings(systemd), ("-c", STALLING)) as daemon:
        await daemon.ready()
        for _ in range(3):
            await hear(systemd, lambda shown: shown == ["WATCHDOG=1"], "progress")

        daemon.process.send_signal(signal.SIGUSR1)
        # What was sent before the signal arrived does not count.
        await trio.sleep(WATCHDOG_SEC / 2)
        systemd.heard()
        await trio.sleep(2 * WATCHDOG_SEC)

        assert systemd.heard() == []
        assert daemon.alive
