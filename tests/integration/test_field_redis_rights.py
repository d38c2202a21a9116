"""Rights taken by an ACL reload, a changed password, a renamed command: named, and waited for."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import trio

from simulator import RunningSimulator, external_events
from tests.integration.daemon_process import DaemonProcess, daemon_process
from tests.integration.pipeline import PLANS, RESULTS, Pipeline, full_close
from tests.integration.redis_pair import ReplicatingServer
from tests.integration.surroundings import SYMBOLS, environment, is_ready, is_unready, readiness, trade
from tests.integration.waiting import until
from tests.store.redis_servers import redis_servers

SERVERS = redis_servers()
#: Plans stay young until the rights are back.
PATIENT = {"P33_PLAN_MAX_AGE_SEC": "60"}
PASSWORD = "secret"
ALL = ("on", f">{PASSWORD}", "allkeys", "+@all")

#: What is taken, and what has to be named.
TAKEN: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "a command in scripts": (("-xadd",), ("user p33 has no right to",)),
    "scripts": (("-evalsha", "-eval"), ("user p33 has no right to EVALSHA",)),
    "the blocking read": (("-xreadgroup",), ("user p33 has no right to XREADGROUP",)),
    "a read": (("-get",), ("user p33 has no right to",)),
    "the keys of permits": (
        ("resetkeys", "~quantum:p33:*", "~quantum:stream:*", "~quantum:position:*", "~quantum:reconcile:*",
         "~quantum:cooldown:*"),
        ("user p33 has no right to",),
    ),
    "the password": (("resetpass", ">another"), ("the login of user p33 is refused: WRONGPASS",)),
    "the user": (("off",), ("the login of user p33 is refused: WRONGPASS",)),
}  # fmt: skip

#: What a script meets behind its first write; Redis 6.2 shows no script its rights.
HALF_DONE_ON_6 = {"a command in scripts", "the keys of permits"}
#: A read that is blocked when its right is taken still gets what comes next.
DELIVERED_ALREADY = {"the blocking read"}


class Account:
    """The user that the service has at a server."""

    def __init__(self, server: ReplicatingServer) -> None:
        self._admin = server.admin
        self.url = f"unix://p33:{PASSWORD}@{server.socket}?db=0"
        version: Any = self._admin.info("server")["redis_version"]
        self.rights_can_be_asked = int(str(version).split(".")[0]) >= 7
        self.set("reset", *ALL)

    def set(self, *rules: str) -> None:
        self._admin.execute_command("ACL", "SETUSER", "p33", *rules)

    def take(self, *rules: str) -> None:
        """Change the rules, and end the user's connections where the login changed, like `ACL LOAD`."""
        self.set(*rules)
        if not any(rule.startswith(("-", "~")) for rule in rules):
            self._admin.execute_command("CLIENT", "KILL", "USER", "p33")


@asynccontextmanager
async def running_server(program: Path, folder: Path, *options: str) -> AsyncIterator[ReplicatingServer]:
    server = ReplicatingServer(program, folder)
    with server.running(*options):
        await server.answers()
        yield server


async def stays_unready(url: str, daemon: DaemonProcess, *words: str, for_sec: float) -> None:
    """Look again and again: 503 each time, with `words`; the process lives on."""
    end_sec = trio.current_time() + for_sec
    while trio.current_time() < end_sec:
        status, shown = await readiness(url)
        assert status == 503
        assert any(all(word in reason for word in words) for reason in shown.reasons), shown
    assert daemon.alive


@pytest.mark.parametrize("name", TAKEN)
@pytest.mark.parametrize("program", SERVERS.values(), ids=SERVERS)
async def test_a_right_that_is_taken_is_named_and_waited_for_and_everything_goes_on_once_it_is_back(
    simulator: RunningSimulator, tmp_path: Path, program: Path, name: str
) -> None:
    rules, words = TAKEN[name]
    for symbol in SYMBOLS:
        external_events.move_position(simulator.exchange, symbol, target=Decimal(-20))
    async with running_server(program, tmp_path) as server:
        account, pipeline = Account(server), Pipeline(server.url)
        async with daemon_process(environment(account.url, simulator, PATIENT)) as daemon:
            url = await daemon.ready()
            before = await pipeline.ask("before", full_close(SYMBOLS[0]))
            assert before["allow"]
            account.take(*rules)
            pipeline.publish_plan("during", full_close(SYMBOLS[1]))
            pipeline.publish_fill("before", trade(simulator.exchange, SYMBOLS[0], "BUY", "20"))
            await until(lambda: words[0] in daemon.output, "the log names it")
            answered_at_all = account.rights_can_be_asked or name not in HALF_DONE_ON_6
            if answered_at_all:
                await is_unready(url, "Redis at", *words)
                await stays_unready(url, daemon, "Redis at", *words, for_sec=3)
            assert name in DELIVERED_ALREADY or pipeline.permit_now("during") is None

            account.set(*ALL)
            await is_ready(lambda: url)
            if answered_at_all:
                assert (await pipeline.permit("during"))["allow"]
            assert (await pipeline.ask("after", full_close(SYMBOLS[2])))["allow"]
            await pipeline.ledger_reaches(SYMBOLS[0], "0")
            await pipeline.nothing_pends(PLANS, RESULTS)
            await pipeline.decided_once(["before", "after"])
            assert "Actor failed" not in daemon.output


@pytest.mark.parametrize("command", ["EVALSHA", "XREADGROUP", "XADD", "INFO"])
async def test_a_start_on_a_redis_with_a_renamed_command_waits_and_names_it(
    simulator: RunningSimulator, tmp_path: Path, command: str
) -> None:
    program = next(reversed(SERVERS.values()))
    external_events.move_position(simulator.exchange, SYMBOLS[0], target=Decimal(-20))
    server = ReplicatingServer(program, tmp_path)
    async with daemon_process(environment(server.url, simulator, PATIENT)) as daemon:
        with server.running("--rename-command", command, ""):
            await server.answers()
            url = await daemon.url()
            await is_unready(url, "Redis at", command)
            await stays_unready(url, daemon, "Redis at", command, for_sec=3)
            assert daemon.alive
        server.admin.close()
        with server.running():
            await server.answers()
            await is_ready(lambda: url, within_sec=20)
            answer = await Pipeline(server.url).ask("after", full_close(SYMBOLS[0]))
            assert answer["allow"]
            assert "Actor failed" not in daemon.output
