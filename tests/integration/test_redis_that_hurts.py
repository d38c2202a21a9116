"""A Redis that hurts, a daemon that was stopped, and too few descriptors, each under load.

Each fails closed, is named, and is over as soon as its cause is: every plan decided once, the ledgers equal
to the positions, and no actor restarted. All run side by side, since most of their time is waiting.
"""

from __future__ import annotations

import resource
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import pytest
import trio

from simulator import SimulatedExchange, external_events
from simulator.symbols import load_symbols
from tests.integration.daemon_process import daemon_process
from tests.integration.pipeline import PLANS, RESULTS, executed, full_close
from tests.integration.redis_faults import (
    append_only_file_full,
    appending,
    dump_failed,
    long_script,
    no_free_connection,
    redis_stopped,
)
from tests.integration.rigs import Case, Rig, side_by_side
from tests.integration.surroundings import SYMBOLS, environment, is_ready, is_unready, readiness, trade
from tests.integration.test_ledger_sum import plain
from tests.integration.trading_load import SETTINGS, UNPLANNED, TradingLoad
from tests.integration.waiting import until
from tests.store.redis_servers import known_servers

SERVERS = known_servers()
#: Longer than the lease lives.
SHORT_SEC = 3.0
#: Longer than plans live, than a snapshot is fresh, and than an actor may work without progress.
LONG_SEC = 30.0
NAMED_WITHIN_SEC = 3.0
BACK_WITHIN_SEC = 5.0
TAKEOVER_SEC = 3.0
#: Behind what was published in 30 s, which other cases delay.
DECIDED_WITHIN_SEC = 15.0
SMALL_BACKLOG = 20
DRAINED_WITHIN_SEC = 60.0
LEASE = "quantum:p33:lease"
ALLOWED = "P3.3 ALLOW"

#: Held beside the symbols of the load, and partly closed while nothing is decided.
HELD = "APTUSDT"
DESCRIPTORS = 256
HTTP_CLIENTS = 300


class Blow(NamedTuple):
    """A fault of Redis, and the words by which it is named."""

    fault: Callable[[Rig], AbstractAsyncContextManager[None]]
    named: str


def holding() -> SimulatedExchange:
    """Return an account that is 20 short of HELD."""
    listed = load_symbols()
    exchange = SimulatedExchange(symbols={name: listed[name] for name in (*SYMBOLS, HELD)})
    external_events.move_position(exchange, HELD, target=Decimal(-20))
    return exchange


@asynccontextmanager
async def under_load(rig: Rig, seed: int) -> AsyncIterator[TradingLoad]:
    """Trade during the block; check afterwards that all was decided and booked once."""
    load = TradingLoad(
        rig.pipeline, rig.simulator, seed, plans_per_sec=15, results_per_sec=5, redis_goes_away=True
    )
    await load.trades_ahead(2 * len(UNPLANNED))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(load.run)
        await load.more_is_allowed(5)
        yield load
        # `drained` looks hundreds of times a second, at the cost of the other cases.
        with trio.fail_after(DRAINED_WITHIN_SEC):
            while rig.pipeline.unread(PLANS) + rig.pipeline.unread(RESULTS) > SMALL_BACKLOG:  # noqa: ASYNC110
                await trio.sleep(0.1)
        await load.drained()
    load.assert_exactly_once()


class PartlyClosed:
    """HELD, of which 15 are bought back while nothing is decided, and a plan that closes all of it.

    The load acts on the permit, and checks that it allows no more than what is left.
    """

    def __init__(self, rig: Rig, load: TradingLoad) -> None:
        self._rig = rig
        self._load = load
        # The load lets some orders fill in two parts.
        rig.exchange.first_fill_share = None
        self._order = trade(rig.exchange, HELD, "BUY", "15")

    def publish_plan(self) -> None:
        self._load.published[HELD] = full_close(HELD)
        self._rig.pipeline.publish_plan(HELD, self._load.published[HELD])

    async def is_decided(self) -> None:
        """Wait for the decision; only then publish the result, so that the ledger cannot help."""
        await until(
            lambda: any(decided.plan_id == HELD for decided in self._load.decided),
            f"the close of {HELD} is decided",
            DECIDED_WITHIN_SEC,
        )
        self._rig.pipeline.publish_result(executed("elsewhere", HELD, self._order.order_id, "BUY", "15"))

    def assert_booked(self) -> None:
        held = plain(self._rig.exchange.position(HELD).amount)
        assert self._rig.pipeline.ledger_amount(HELD) == held, held


def struck(*blows: Blow, lasts_sec: float, server: str) -> Case:
    """Return the case of a Redis that is struck by one fault after the other, each named by `/readyz`."""

    async def run(rig: Rig) -> None:
        async with under_load(rig, seed=41) as load:
            for fault, named in blows:
                async with fault(rig):
                    await is_unready(rig.url, "waiting for Redis at", named, within_sec=NAMED_WITHIN_SEC)
                    allowed = rig.daemon.output.count(ALLOWED)
                    await stays_unready(rig, named, lasts_sec)
                    assert rig.daemon.output.count(ALLOWED) == allowed, named
                await comes_back(rig)
                await load.more_is_allowed(1)
        await only_what_is_audited_was_allowed(rig, load)

    return Case(f"{server}, {blows[0].named}", run, SETTINGS, redis=appending(SERVERS[server]))


async def stays_unready(rig: Rig, named: str, for_sec: float) -> None:
    """Look again and again: 503 each time, with the cause."""
    end_sec = trio.current_time() + for_sec
    while trio.current_time() < end_sec:
        status, shown = await readiness(rig.url)
        assert status == 503 and any(named in reason for reason in shown.reasons), shown
        await trio.sleep(0.1)


async def comes_back(rig: Rig) -> None:
    """Wait until it is ready, and check how long it took of its own making."""
    began_sec, delayed_sec = trio.current_time(), rig.daemon.run_delay_sec()
    await is_ready(lambda: rig.url, 4 * BACK_WITHIN_SEC)
    took_sec = trio.current_time() - began_sec
    delay_sec = rig.daemon.run_delay_sec() - delayed_sec
    assert took_sec - delay_sec < BACK_WITHIN_SEC, (took_sec, delay_sec)


async def only_what_is_audited_was_allowed(rig: Rig, load: TradingLoad) -> None:
    """Compare the log, which names a decision when it is made, with the audit, which Redis kept."""
    allowed = sum(decided.allow for decided in load.decided)
    await until(lambda: rig.daemon.output.count(ALLOWED) == allowed, f"{allowed} allowed in the log")


async def redis_stopped_for_long(rig: Rig) -> None:
    """Plans that were in its stream are expired, and what was under way to it allows nothing."""
    async with under_load(rig, seed=45) as load:
        async with redis_stopped(rig):
            await is_unready(rig.url, "waiting for Redis at", "no answer", within_sec=NAMED_WITHIN_SEC)
            allowed = rig.daemon.output.count(ALLOWED)
            closed = PartlyClosed(rig, load)
            await stays_unready(rig, "no answer", LONG_SEC)
            assert rig.daemon.output.count(ALLOWED) == allowed
        await comes_back(rig)
        closed.publish_plan()
        await closed.is_decided()
        await load.more_is_allowed(1)
    closed.assert_booked()
    await only_what_is_audited_was_allowed(rig, load)


async def daemon_stopped_alone(rig: Rig) -> None:
    """It takes the lease again, with another token, and decides on what it has read since."""
    async with under_load(rig, seed=42) as load:
        tokens = [rig.pipeline.redis.get(LEASE)]
        rig.daemon.process.send_signal(signal.SIGSTOP)
        closed = PartlyClosed(rig, load)
        await trio.sleep(LONG_SEC)
        assert not rig.pipeline.redis.exists(LEASE)
        closed.publish_plan()
        rig.daemon.process.send_signal(signal.SIGCONT)
        await comes_back(rig)
        await closed.is_decided()
        await load.more_is_allowed(1)
        tokens.append(rig.pipeline.redis.get(LEASE))
        assert tokens[0] != tokens[1]
    closed.assert_booked()
    assert "plan_expired" in {decided.reason for decided in load.decided}


async def daemon_stopped_beside_a_standby(rig: Rig) -> None:
    """The standby decides within 3 s; the stopped one finds its token refused and stands by."""
    settings = {**SETTINGS, "P33_INSTANCE": "second"}
    async with daemon_process(environment(rig.redis_url, rig.simulator, settings)) as second:
        await is_unready(await second.url(), "standing by", "first", within_sec=10)
        async with under_load(rig, seed=43) as load:
            rig.daemon.process.send_signal(signal.SIGSTOP)
            allowed = rig.daemon.output.count(ALLOWED)
            await load.decided_by("second", TAKEOVER_SEC + BACK_WITHIN_SEC)
            token = rig.pipeline.redis.get(LEASE)
            closed = PartlyClosed(rig, load)
            await trio.sleep(LONG_SEC)
            closed.publish_plan()
            rig.daemon.process.send_signal(signal.SIGCONT)
            await is_unready(rig.url, "standing by", "second")
            await closed.is_decided()
        closed.assert_booked()
        assert load.issuers() == ["first", "second"]
        assert rig.pipeline.redis.get(LEASE) == token
        assert rig.daemon.output.count(ALLOWED) == allowed
        assert second.alive and "Actor failed" not in second.output


async def few_descriptors(rig: Rig) -> None:
    """With 256 all goes on whatever HTTP clients do; with none left the log says so."""
    descriptors = Descriptors(rig.daemon.process.pid)
    async with under_load(rig, seed=44) as load:
        descriptors.limit(DESCRIPTORS)
        async with http_clients(rig):
            for _ in range(3):
                await load.more_is_allowed(5)
                assert len(descriptors.used()) < DESCRIPTORS
        await comes_back(rig)
        assert "plan_expired" not in {decided.reason for decided in load.decided}
        assert "Too many open files" not in rig.daemon.output

        used = descriptors.used()
        descriptors.limit(min(number for number in range(DESCRIPTORS) if number not in used))
        async with http_clients(rig):
            await until(lambda: "Too many open files" in rig.daemon.output, "the log names it")
        descriptors.limit(DESCRIPTORS)
        await comes_back(rig)
        await load.more_is_allowed(1)


class Descriptors:
    """File descriptors of one process."""

    def __init__(self, process: int) -> None:
        self._process = process
        self._most = resource.prlimit(process, resource.RLIMIT_NOFILE)[1]

    def limit(self, number: int) -> None:
        """Let the process open none of this number or above."""
        resource.prlimit(self._process, resource.RLIMIT_NOFILE, (number, self._most))

    def used(self) -> set[int]:
        return {int(link.name) for link in Path(f"/proc/{self._process}/fd").iterdir()}


@asynccontextmanager
async def http_clients(rig: Rig) -> AsyncIterator[None]:
    """Hold many connections with half a request each, and ask for everything on others."""
    port = int(rig.url.rpartition(":")[2])

    async def connect_again_and_again(request: str) -> None:
        while True:
            try:
                async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
                    await stream.send_all(request.encode())
                    while await stream.receive_some():
                        pass
            except (OSError, trio.BrokenResourceError):
                pass
            await trio.sleep(1)

    async with trio.open_nursery() as nursery:
        for _ in range(HTTP_CLIENTS):
            nursery.start_soon(connect_again_and_again, "GET /status HTTP/1.1\r\n")
        for path in ("/", "/status", "/metrics", "/readyz"):
            whole = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
            nursery.start_soon(connect_again_and_again, whole)
        yield
        nursery.cancel_scope.cancel()


@pytest.mark.skipif(
    not hasattr(resource, "prlimit"), reason="limits of another process are set on Linux alone"
)
async def test_a_fault_is_named_and_ends_with_its_cause_and_nothing_is_lost_or_doubled() -> None:
    newest = appending(SERVERS[list(SERVERS)[-1]])
    blows = (
        Blow(append_only_file_full, "MISCONF Errors writing to the AOF file"),
        Blow(long_script, "BUSY"),
        Blow(no_free_connection, "max number of clients"),
        Blow(dump_failed, "is configured to save RDB snapshots"),
    )
    await side_by_side(
        Case("daemon stopped", daemon_stopped_alone, SETTINGS, holding, redis=newest),
        Case("daemon stopped, standby", daemon_stopped_beside_a_standby, SETTINGS, holding, redis=newest),
        Case("Redis stopped", redis_stopped_for_long, SETTINGS, holding, redis=newest),
        *(struck(*blows, lasts_sec=SHORT_SEC, server=server) for server in SERVERS),
        Case("few descriptors", few_descriptors, SETTINGS, redis=newest),
    )
