"""The exchange gone and back under load: nothing is allowed on what is not known any more."""

from __future__ import annotations

from functools import partial
from urllib.parse import urlsplit

import trio

from simulator import RunningSimulator, SimulatedExchange, SimulatorAddresses, StreamServer, serve
from tests.integration.daemon_process import daemon_process
from tests.integration.exchange_process import exchange_process
from tests.integration.pipeline import PLANS, Pipeline, entry
from tests.integration.surroundings import (
    SYMBOLS,
    environment,
    is_ready,
    is_unready,
    small_exchange,
    stream_is_trusted,
)
from tests.integration.under_fire import BACK_WITHIN_SEC, restarts, under_fire
from tests.integration.waiting import until

_AWAY_SEC = 1.5


class StoppableSimulator:
    """An exchange that keeps its account while it cannot be reached."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self.exchange = small_exchange()
        self._nursery = nursery
        self._ports = (0, 0)
        self._serving = trio.CancelScope()
        self._over = trio.Event()

    async def start(self) -> RunningSimulator:
        """Serve, on the same ports as before."""
        self._serving, self._over = trio.CancelScope(), trio.Event()
        streams = StreamServer(self.exchange)
        addresses: SimulatorAddresses = await self._nursery.start(partial(self._serve, streams))
        rest, stream = (urlsplit(url).port for url in (addresses.rest_url, addresses.ws_url))
        assert rest is not None and stream is not None
        self._ports = rest, stream
        return RunningSimulator(self.exchange, streams, addresses)

    async def stop(self) -> None:
        """End every connection and listen no more."""
        self._serving.cancel()
        await self._over.wait()

    async def _serve(
        self, streams: StreamServer, *, task_status: trio.TaskStatus[SimulatorAddresses]
    ) -> None:
        rest_port, stream_port = self._ports
        with self._serving:
            await serve(
                self.exchange,
                streams=streams,
                rest_port=rest_port,
                stream_port=stream_port,
                task_status=task_status,
            )
        self._over.set()


async def test_an_exchange_that_goes_and_comes_back_with_its_account() -> None:
    async with trio.open_nursery() as nursery:
        stoppable = StoppableSimulator(nursery)
        async with under_fire(await stoppable.start(), seed=31) as fire:
            for _ in range(2):
                # Reads make it ready sooner, and what they show is relied on until it is stale.
                await stream_is_trusted(fire.url, within_sec=30)
                await stoppable.stop()
                await is_unready(fire.url, "not trusted")
                await fire.load.take_permits()
                begun = len(fire.load.decided)
                await trio.sleep(_AWAY_SEC)
                await fire.load.take_permits()
                during = fire.load.decided[begun:]
                assert during
                assert [decided for decided in during if decided.allow] == []
                await stoppable.start()
                await fire.recovers()
            await fire.burns_out()
            fire.load.assert_exactly_once()
        await stoppable.stop()


async def test_an_exchange_killed_and_started_again_is_followed_anew(redis_server: str) -> None:
    """The listen key is gone with it, and no connection was closed."""
    pipeline = Pipeline(redis_server)
    async with exchange_process() as exchange:
        account = SimulatedExchange()
        running = RunningSimulator(account, StreamServer(account), exchange.addresses)
        async with daemon_process(environment(redis_server, running, {})) as daemon:
            url = await daemon.ready()
            for number, symbol in enumerate(SYMBOLS[:3]):
                if number > 0:
                    await stream_is_trusted(url, within_sec=30)
                    await exchange.kill()
                    await is_unready(url, "not trusted")
                    answer = await pipeline.ask(f"away-{number}", entry(symbol, "20"))
                    assert answer["reason"] == "stale_exchange_state"
                    await exchange.start()
                    await is_ready(lambda: url, BACK_WITHIN_SEC)
                answer = await pipeline.ask(f"there-{number}", entry(symbol, "20"))
                assert answer["reason"] == "open_permit_granted"
                await exchange.control("position", {"symbol": symbol, "target": "0.5"})
                await pipeline.snapshot_reaches(symbol, "0.5")
                await until(partial(by_stream, pipeline, symbol), f"the stream proves {symbol}", 30)
            await pipeline.nothing_pends(PLANS)
            assert daemon.alive
            assert await restarts(url) == {}


def by_stream(pipeline: Pipeline, symbol: str) -> bool:
    return pipeline.snapshot(symbol)["verified_by"] == "stream"
