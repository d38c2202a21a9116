"""Mark prices: from the market stream to the snapshots, on virtual time and against the simulator."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import AsyncIterator
from decimal import Decimal
from random import Random

import pytest
import structlog
import trio
from trio.testing import MockClock

from actors.mark_prices import SILENCE_SEC, MarkPriceFeed
from brain.moment import Moment
from brain.positions.position import Leg, LegPosition, Snapshot, VerifiedBy
from channels import Conflating, MarksChanged, ShardMessage, SnapshotBook
from clock import HostClock, TrioClock
from exchange.connection_limit import ConnectionLimit
from exchange.errors import ExchangeUnavailable, UnreadableEvent
from exchange.market_stream import MarketStreamConnection, MarketStreamConnector
from exchange.protocol import MarkPriceUpdate
from simulator import RunningSimulator, SimulatedExchange, running
from supervision import Heartbeat
from tests.actors.dictated_exchange import EPOCH_MS
from tests.actors.fetcher_rig import FetcherRig, running_fetcher
from tests.background import background

Answer = list[MarkPriceUpdate] | Exception | None


class ScriptedStream:
    """Gives what the script says, one a second; None is silence for good."""

    def __init__(self, clock: TrioClock, script: deque[Answer]) -> None:
        self.closed = False
        self._clock = clock
        self._script = script

    async def receive(self) -> tuple[tuple[MarkPriceUpdate, ...], Moment]:
        await trio.sleep(1)
        answer = self._script.popleft() if self._script else None
        if answer is None:
            await trio.sleep_forever()
        if isinstance(answer, Exception):
            raise answer
        return tuple(answer or ()), self._clock.now()

    async def aclose(self) -> None:
        self.closed = True
        await trio.lowlevel.checkpoint()


class ScriptedConnector:
    def __init__(self, clock: TrioClock, *script: Answer, refusals: int = 0) -> None:
        self.streams: list[ScriptedStream] = []
        self.tries_sec: list[float] = []
        self.refusals = refusals
        self._clock = clock
        self._script: deque[Answer] = deque(script)

    async def connect(self, nursery: trio.Nursery) -> ScriptedStream:
        self.tries_sec.append(trio.current_time())
        await trio.lowlevel.checkpoint()
        if self.refusals:
            self.refusals -= 1
            raise ExchangeUnavailable("refused")
        self.streams.append(ScriptedStream(self._clock, self._script))
        return self.streams[-1]


class FeedRig:
    def __init__(
        self, *script: Answer, refusals: int = 0, ahead_ms: int = 0, limit: ConnectionLimit | None = None
    ) -> None:
        self.clock = TrioClock(EPOCH_MS)
        self.connector = ScriptedConnector(self.clock, *script, refusals=refusals)
        self.inbox: Conflating[ShardMessage] = Conflating("inbox", type)
        self.book = SnapshotBook("book")
        self.feed = MarkPriceFeed(
            self.connector,
            self.book,
            [self.inbox],
            lambda at: at.wall_ms + ahead_ms,
            limit=limit or ConnectionLimit(),
            rng=Random(1),  # noqa: S311 - jitter
            log=structlog.get_logger(),
        )

    def price(self, symbol: str) -> tuple[int, int]:
        """The book's price of a symbol that it has no other of."""
        position = LegPosition(Leg.BOTH, Decimal(0), None, 0)
        never = Moment(0.0, 0)
        known = Snapshot(symbol, (position,), None, None, 0, never, VerifiedBy.REST)
        price, ts_ms = self.book.mark_of(known)
        return int(price or 0), ts_ms

    async def run_for(self, seconds: float) -> None:
        async with background(self.feed.run, Heartbeat()):
            await trio.sleep(seconds)


class _Says:
    """A WebSocket that says one thing."""

    def __init__(self, frame: str) -> None:
        self.websocket = self
        self._frame = frame

    async def get_message(self) -> str:
        await trio.lowlevel.checkpoint()
        return self._frame


def event(symbol: str, price: str, event_ms: int) -> MarkPriceUpdate:
    return MarkPriceUpdate(event_ms, symbol, Decimal(price))


async def test_prices_go_into_the_book_and_a_busy_shard_hears_of_them_once(autojump_clock: MockClock) -> None:
    rig = FeedRig(*([event("BTCUSDT", str(price), EPOCH_MS)] for price in range(1, 6)))
    await rig.run_for(5.5)
    assert rig.price("BTCUSDT") == (5, EPOCH_MS)
    assert await rig.inbox.receive_all() == [MarksChanged()]


async def test_prices_of_one_round_in_several_frames_are_all_kept(autojump_clock: MockClock) -> None:
    one, other = (event(symbol, "1", EPOCH_MS) for symbol in ("BTCUSDT", "XAUUSDT"))
    rig = FeedRig([one], [other], [event("BTCUSDT", "2", EPOCH_MS)])
    await rig.run_for(3.5)
    assert rig.price("BTCUSDT") == (2, EPOCH_MS)
    assert rig.price("XAUUSDT") == (1, EPOCH_MS)


async def test_a_price_carries_its_event_time_on_this_hosts_clock(autojump_clock: MockClock) -> None:
    rig = FeedRig(
        [event("OLD", "1", EPOCH_MS + 40_700), event("NEW", "1", EPOCH_MS + 99_000)], ahead_ms=40_000
    )
    await rig.run_for(1.5)
    assert rig.price("OLD") == (1, EPOCH_MS + 700)
    assert rig.price("NEW") == (1, EPOCH_MS + 1000), "never later than it came"


@pytest.mark.parametrize("end", [None, ExchangeUnavailable("closed"), UnreadableEvent("not JSON")])
async def test_a_connection_that_ends_is_replaced(autojump_clock: MockClock, end: Answer) -> None:
    rig = FeedRig([event("BTCUSDT", "1", EPOCH_MS)], end, [event("BTCUSDT", "2", EPOCH_MS)])
    await rig.run_for(SILENCE_SEC + 5)
    assert rig.price("BTCUSDT") == (2, EPOCH_MS)
    assert rig.connector.streams[0].closed


async def test_refusals_are_met_with_growing_patience(autojump_clock: MockClock) -> None:
    rig = FeedRig(refusals=1000)
    await rig.run_for(3600)
    tries = rig.connector.tries_sec
    pauses = [later - earlier for earlier, later in itertools.pairwise(tries)]
    assert pauses[0] <= 1 and max(pauses) <= 60
    assert 60 < len(tries) < 150


async def test_marks_move_price_and_profit_and_nothing_else(
    rig: FetcherRig, autojump_clock: MockClock
) -> None:
    rig.exchange.set("BTCUSDT", "-0.5")
    async with running_fetcher(rig):
        await trio.sleep(1)
        before = rig.store.hashes["BTCUSDT"]
        later_ms = before_ms(rig, "BTCUSDT") + 1500
        rig.mark("90.5", later_ms, "BTCUSDT", "UNKNOWN")
        await trio.sleep(1.49)
        assert rig.store.hashes["BTCUSDT"] == before, "they wait for a proof to be written with"
        await trio.sleep(0.02)
        # Entered at 100.
        assert rig.store.hashes["BTCUSDT"] == {
            **before,
            "mark_price": "90.5",
            "unrealized_pnl": "4.75",
            "mark_ts_epoch_ms": str(later_ms),
        }
        assert set(rig.store.hashes) == {"BTCUSDT"}
        snapshot = rig.snapshot("BTCUSDT")
        assert (snapshot.mark_price, snapshot.verified_by) == (Decimal("90.5"), VerifiedBy.REST)
        assert rig.age_sec("BTCUSDT") == pytest.approx(2.51, abs=0.005)


def before_ms(rig: FetcherRig, symbol: str) -> int:
    return int(rig.store.hashes[symbol]["mark_ts_epoch_ms"])


async def test_marks_are_written_with_a_proof(rig: FetcherRig, autojump_clock: MockClock) -> None:
    rig.exchange.set("BTCUSDT", "-0.5")
    async with running_fetcher(rig):
        rig.connect()
        await trio.sleep(1)
        for price in range(90, 95):
            rig.mark(str(price), EPOCH_MS + price * 1000, "BTCUSDT")
            rig.prove()
            await trio.sleep(0.01)
            assert rig.store.hashes["BTCUSDT"]["mark_price"] == str(price)
            assert before_ms(rig, "BTCUSDT") == EPOCH_MS + price * 1000
            assert rig.age_sec("BTCUSDT") == pytest.approx(0.26, abs=0.001)
            await trio.sleep(1)


@pytest.mark.parametrize("proven", [True, False])
async def test_marks_of_flat_positions_are_written_each_10_s(
    rig: FetcherRig, autojump_clock: MockClock, proven: bool
) -> None:
    rig.exchange.set("BTCUSDT", "-0.5")
    rig.exchange.set("ETHUSDT", "0")
    seen: dict[str, set[int]] = {"BTCUSDT": set(), "ETHUSDT": set()}
    async with running_fetcher(rig):
        rig.connect()
        await trio.sleep(1)
        for _ in range(100):
            rig.mark("90.5", rig.exchange.now_ms(), *seen)
            if proven:
                rig.prove()
            await trio.sleep(1)
            for symbol, times in seen.items():
                times.add(before_ms(rig, symbol))
                late_ms = rig.exchange.now_ms() - before_ms(rig, symbol)
                least_ms = 11_000 if symbol == "ETHUSDT" else 2_000
                assert late_ms < least_ms + (1 if proven else 3_500)
    assert len(seen["BTCUSDT"]) >= (100 if proven else 30)
    assert len(seen["ETHUSDT"]) <= 11


async def test_an_older_mark_changes_nothing(rig: FetcherRig, autojump_clock: MockClock) -> None:
    rig.exchange.set("BTCUSDT", "-0.5")
    async with running_fetcher(rig):
        await trio.sleep(1)
        rig.mark("90", EPOCH_MS - 1, "BTCUSDT")
        await trio.sleep(2)
        assert rig.store.hashes["BTCUSDT"]["mark_price"] == "101"


async def test_profit_always_fits_the_position_beside_it(rig: FetcherRig, autojump_clock: MockClock) -> None:
    rig.exchange.set("BTCUSDT", "-0.5")
    async with running_fetcher(rig):
        rig.connect()
        await trio.sleep(1)
        for step in range(1, 20):
            rig.push("BTCUSDT", rig.exchange.set("BTCUSDT", str(step)))
            rig.mark(str(100 + step), rig.exchange.now_ms(), "BTCUSDT")
            rig.prove(ago_sec=0)
            for _ in range(4):
                await trio.sleep(0.001)
                written = {name: Decimal(rig.store.hashes["BTCUSDT"][name]) for name in FITTING}
                profit = (written["mark_price"] - 100) * written["position_amt"]
                assert written["unrealized_pnl"] == profit
        assert written["position_amt"] == 19 and written["mark_price"] == 119


FITTING = ("mark_price", "unrealized_pnl", "position_amt")


async def test_marks_do_not_undo_a_proof(rig: FetcherRig, autojump_clock: MockClock) -> None:
    rig.exchange.set("BTCUSDT", "0.5")
    async with running_fetcher(rig):
        rig.connect()
        await trio.sleep(1)
        for _ in range(5):
            rig.prove()
            rig.mark("103", rig.exchange.now_ms(), "BTCUSDT")
            await trio.sleep(1)
            assert rig.age_sec("BTCUSDT") < 1.3
        times = rig.store.times["BTCUSDT"]
        assert times == sorted(times) and len(times) > 5


@pytest.fixture
def rig() -> FetcherRig:
    return FetcherRig()


async def test_the_simulators_market_stream_is_read(simulator: RunningSimulator) -> None:
    connector = MarketStreamConnector(simulator.addresses.ws_url, clock=HostClock())
    async with trio.open_nursery() as nursery:
        stream = await connector.connect(nursery)
        updates, received = await stream.receive()
        assert {update.s for update in updates} == set(simulator.exchange.listing.symbols)
        assert all(abs(update.E - received.wall_ms) < 1000 and update.p > 0 for update in updates)
        await simulator.streams.disconnect("market")

        async def receive_all() -> None:
            while True:
                await stream.receive()

        with pytest.raises(ExchangeUnavailable, match="market stream: closed"):
            await receive_all()
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("frame", ["{}", "["])
async def test_a_frame_that_is_none_is_refused(frame: str) -> None:
    connection = MarketStreamConnection(_Says(frame), HostClock())  # type: ignore[arg-type]
    with pytest.raises(UnreadableEvent):
        await connection.receive()


@pytest.fixture
async def simulator() -> AsyncIterator[RunningSimulator]:
    async with running(SimulatedExchange()) as started:
        with trio.fail_after(10):
            yield started
