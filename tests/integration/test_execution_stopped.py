"""SIGSTOP for 10 s between the begin of an order and its arrival: nothing late, and the plan ends alone."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qs

import msgspec
import trio

from commands.clients.embedded_redis import private_redis
from simulator import RunningSimulator, running
from tests.integration.daemon_process import DaemonProcess, daemon_process
from tests.integration.execution_load import opening
from tests.integration.pipeline import Pipeline
from tests.integration.played_governor import PlayedGovernor, VenueOrder, id_at_exchange
from tests.integration.relay import Relay, relay_to
from tests.integration.surroundings import SYMBOLS, environment, small_exchange, stream_is_trusted
from tests.integration.waiting import until

#: Two in the suite; twenty with P33_TEST_EXECUTOR_STOPS=20. Half of them at each of the two moments.
STOPS = int(os.environ.get("P33_TEST_EXECUTOR_STOPS", "2"))
STOPS_A_DAEMON = 5
STOPPED_SEC = 10.0
#: Proof that there is no order takes the settle time, and two answers that are 10 s apart.
SETTLED_WITHIN_SEC = 60.0
SETTINGS = {"P33_EXECUTOR": "on", "P33_PERMIT_TTL": "3", "EXEC_UNKNOWN_SETTLE_SEC": "10.1"}
ORDERS = "/fapi/v1/order"


class Scene(msgspec.Struct):
    """A daemon with relays to Redis and to the exchange. `stops`: the one whose bytes stop it next."""

    governor: PlayedGovernor
    simulator: RunningSimulator
    daemon: DaemonProcess
    url: str
    stopped: trio.Event
    goes_on: trio.Event
    armed: bool = False
    plans: int = 0

    async def stop_at(self, seen: bytes, words: bytes, *, holds: bool) -> None:
        """Stop the daemon when these words pass, before they go on; `holds`: until it is continued."""
        if not self.armed or words not in seen:
            return
        self.armed = False
        self.daemon.process.send_signal(signal.SIGSTOP)
        await until(self._is_stopped, "it is stopped")
        self.stopped.set()
        if holds:
            await self.goes_on.wait()

    def _is_stopped(self) -> bool:
        stat = Path(f"/proc/{self.daemon.process.pid}/stat").read_text()
        return stat.rpartition(")")[2].split()[0] == "T"

    async def stopped_in_an_order(self) -> str:
        """Publish plans until one has stopped the daemon; continue it 10 s later.

        Return the plan whose order was begun last: a busy daemon may be stopped by one before the newest.
        """
        self.armed, self.stopped, self.goes_on = True, trio.Event(), trio.Event()
        while not self.stopped.is_set():
            plan_id = f"plan-{self.plans}"
            symbol = self.simulator.exchange.symbol(SYMBOLS[self.plans % len(SYMBOLS)])
            self.plans += 1
            self.governor.publish(plan_id, opening(symbol))
            with trio.move_on_after(2.0):
                await self.stopped.wait()
        (newest,) = self.governor.pipeline.redis.zrevrange("quantum:executor:open", 0, 0)
        await trio.sleep(STOPPED_SEC)
        self.daemon.process.send_signal(signal.SIGCONT)
        self.goes_on.set()
        return str(newest)


@asynccontextmanager
async def scene(at: str) -> AsyncIterator[Scene]:
    """`at` is `begun` or `request`.

    `begun`: Redis has run the script, so that the record says `sending` and the permits are gone, and its
    answer waits in the relay until /proc shows that the process is stopped: not one instruction of it comes
    between the begin and the stop. `request`: the bytes of the request have left the process, and wait in the
    relay to the exchange until the process goes on.
    """
    async with (
        private_redis() as redis_url,
        running(small_exchange()) as simulator,
        relay_to(redis_url) as to_redis,
        relay_to(simulator.addresses.rest_url) as to_exchange,
        daemon_process(_environment(simulator, to_redis, to_exchange)) as daemon,
    ):
        governor = PlayedGovernor(Pipeline(redis_url))
        url = await daemon.ready()
        await governor.executor_reads()
        await governor.has_price(SYMBOLS[-1])
        site = Scene(governor, simulator, daemon, url, trio.Event(), trio.Event())
        if at == "begun":
            to_redis.on_answer = lambda seen: site.stop_at(seen, b"$5\r\nbegun\r\n", holds=False)
        else:
            to_exchange.on_request = lambda seen: site.stop_at(seen, b"POST /fapi/v1/order?", holds=True)
        yield site


def _environment(simulator: RunningSimulator, to_redis: Relay, to_exchange: Relay) -> dict[str, str]:
    rest_url = {"BINANCE_REST_URL": f"http://127.0.0.1:{to_exchange.port}"}
    return environment(f"redis://127.0.0.1:{to_redis.port}/0", simulator, {**SETTINGS, **rest_url})


async def test_an_order_whose_process_was_stopped_is_never_late() -> None:
    async with trio.open_nursery() as nursery:
        for at in ("begun", "request"):
            for first in range(0, STOPS // 2, STOPS_A_DAEMON):
                nursery.start_soon(_stop_and_compare, at, min(STOPS_A_DAEMON, STOPS // 2 - first))


async def _stop_and_compare(at: str, times: int) -> None:
    async with scene(at) as site:
        stopped = []
        for _ in range(times):
            await stream_is_trusted(site.url, within_sec=30)
            stopped.append(await site.stopped_in_an_order())
        governor, exchange = site.governor, site.simulator.exchange
        plan_ids = [f"plan-{number}" for number in range(site.plans)]
        await governor.all_end(plan_ids, SETTLED_WITHIN_SEC)
        await until(governor.nothing_open, "no order is open and no symbol held", 10)
        orders = [
            VenueOrder(order.order_id, order.client_order_id, order.symbol.name, order.status, order.executed)
            for name in SYMBOLS
            for order in exchange.orders.of(name)
        ]
        governor.assert_results_fit(orders, plan_ids)
        ends = [governor.results[plan_id][-1]["error"] for plan_id in stopped]
        print(f"stopped at {at}: {ends}")
        assert all(_is_an_end(end) for end in ends), ends
        _assert_none_late(site.simulator, {id_at_exchange(plan_id) for plan_id in stopped})
        failed = [line for line in site.daemon.output.splitlines() if "Actor failed" in line]
        assert site.daemon.alive and not failed, failed


def _is_an_end(error: str) -> bool:
    return error.startswith("not_sent:") or error in ("order_not_found", "binance_error:-1021")


def _assert_none_late(simulator: RunningSimulator, stopped: set[str]) -> None:
    """Check that no order was taken from a request behind its window, and none of those that were stopped."""
    for record in simulator.exchange.requests.records(path=ORDERS):
        if record.method != "POST":
            continue
        asked = {name: values[0] for name, values in parse_qs(record.query).items()}
        last_ms = int(asked["timestamp"]) + int(asked["recvWindow"])
        if record.wall_time_ms > last_ms or asked["newClientOrderId"] in stopped:
            assert record.status != 200, record
