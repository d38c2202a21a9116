from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from monitoring.status.document import Readiness
from supervision import Heartbeat, SupervisorSpec, Tree
from supervision.systemd import NotifySocket
from tests.supervision.notify_rig import Listener, listening
from tests.supervision.rig import Journal, child, obedient, supervisor, tree_of
from tests.virtual_time import virtual_time
from wiring.systemd_reports import SystemdReports

pytestmark = virtual_time

LIMIT_SEC = 20.0
WAITING = Readiness(ready=False, reasons=["waiting for Redis at localhost:6379 (ledger_writer)"])
READY = Readiness(ready=True, reasons=[])


class Rig:
    """A tree with its reports, and who hears them."""

    def __init__(self, systemd: Listener, tree: Tree, notify: NotifySocket) -> None:
        self.heard = systemd.heard
        self.readiness = WAITING
        self.reports = SystemdReports(notify, tree, lambda: self.readiness)

    def fed(self) -> int:
        """Return how often the watchdog was fed since the last call."""
        return self.heard().count(["WATCHDOG=1"])


@asynccontextmanager
async def reporting(
    folder: Path, spec: SupervisorSpec, watchdog_sec: float | None = LIMIT_SEC
) -> AsyncIterator[Rig]:
    with listening(folder) as systemd, NotifySocket(systemd.address, watchdog_sec) as notify:
        tree = tree_of(spec, Journal())
        rig = Rig(systemd, tree, notify)
        async with trio.open_nursery() as nursery:
            await nursery.start(tree.run)
            nursery.start_soon(rig.reports.run)
            yield rig
            nursery.cancel_scope.cancel()


async def waits(heartbeat: Heartbeat) -> None:
    with heartbeat.waiting_for("Redis"):
        await trio.sleep_forever()


async def test_it_is_ready_for_systemd_before_it_is_ready_for_plans(tmp_path: Path) -> None:
    async with reporting(tmp_path, supervisor(child("a")), None) as rig:
        await trio.sleep(5)
        assert rig.heard() == [["READY=1", f"STATUS=not ready: {WAITING.reasons[0]}"]]


async def test_the_status_line_follows_what_is_waited_for_and_is_not_repeated(tmp_path: Path) -> None:
    async with reporting(tmp_path, supervisor(child("a")), None) as rig:
        await trio.sleep(5)
        rig.heard()
        rig.readiness = READY
        await trio.sleep(100)
        assert rig.heard() == [["STATUS=ready: plans are decided"]]
        rig.readiness = WAITING
        await trio.sleep(100)
        assert rig.heard() == [[f"STATUS=not ready: {WAITING.reasons[0]}"]]


async def test_the_watchdog_is_fed_twice_within_its_limit_by_those_who_idle_or_wait(tmp_path: Path) -> None:
    spec = supervisor(child("a", waits, stall_limit_sec=5), child("b", obedient, stall_limit_sec=5))
    async with reporting(tmp_path, spec) as rig:
        await trio.sleep(95)
        assert rig.fed() == 10


async def test_the_watchdog_is_not_fed_while_an_actor_neither_progresses_nor_ends(tmp_path: Path) -> None:
    async def sticks(heartbeat: Heartbeat) -> None:
        heartbeat.beat()
        with trio.CancelScope(shield=True):
            await trio.sleep(60)
        await obedient(heartbeat)

    async with reporting(tmp_path, supervisor(child("a", sticks, stall_limit_sec=15))) as rig:
        await trio.sleep(14)
        assert rig.fed() == 2
        await trio.sleep(2.5)
        rig.heard()
        await trio.sleep(40)
        assert rig.heard() == []
        await trio.sleep(5)
        assert rig.fed() > 0


async def test_the_status_line_names_who_is_stuck(tmp_path: Path) -> None:
    async def sticks(heartbeat: Heartbeat) -> None:
        with trio.CancelScope(shield=True):
            await trio.sleep(60)

    async with reporting(tmp_path, supervisor(child("a", sticks, stall_limit_sec=5)), None) as rig:
        await trio.sleep(7)
        assert rig.heard()[-1] == ["STATUS=no progress: a"]


async def test_a_stop_is_reported_at_once_and_is_the_last_word(tmp_path: Path) -> None:
    async with reporting(tmp_path, supervisor(child("a")), None) as rig:
        await trio.sleep(5)
        rig.heard()
        rig.reports.stopping(6.0)
        rig.readiness = READY
        await trio.sleep(5)
        ((stopping, status, extend),) = rig.heard()
        assert (stopping, extend) == ("STOPPING=1", "EXTEND_TIMEOUT_USEC=6000000")
        assert status.startswith("STATUS=stopping")


async def test_ready_is_repeated_until_systemd_takes_it(tmp_path: Path) -> None:
    with NotifySocket(str(tmp_path / "notify"), None) as notify:
        tree = tree_of(supervisor(child("a")), Journal())
        reports = SystemdReports(notify, tree, lambda: READY)
        async with trio.open_nursery() as nursery:
            await nursery.start(tree.run)
            nursery.start_soon(reports.run)
            await trio.sleep(5)
            with listening(tmp_path) as systemd:
                await trio.sleep(5)
                assert systemd.heard() == [["READY=1", "STATUS=ready: plans are decided"]]
            nursery.cancel_scope.cancel()
