"""Connections that stand and prove nothing: dead keys, gateways that accept and close, storms of them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import trio

from channels import StreamConnected, StreamLost, StreamProven
from exchange.errors import ExchangeUnavailable, ListenKeyUnknown, RateLimited, UnreadableEvent
from supervision import Heartbeat
from tests.actors.stream_fakes import FakeBinance, FakeConnection, account_update
from tests.actors.stream_rig import FakeRig
from tests.actors.test_mark_prices import FeedRig, event
from tests.background import background
from tests.exchange.test_connection_limit import most_within
from tests.virtual_time import virtual_time

pytestmark = virtual_time

FIVE_MINUTES_SEC = 300.0


async def test_pongs_prove_nothing_before_the_listen_key_is_proven(rig: FakeRig) -> None:
    rig.binance.keep_alive_refusals = [ExchangeUnavailable("503")] * 4
    async with rig.connected() as line:
        while rig.binance.keep_alive_refusals:
            assert not rig.messages_of(StreamProven)
            assert rig.status.value is None
            await trio.sleep(0.5)
        proven = await rig.message(StreamProven)
        assert proven.as_of.monotonic_sec > line.opened_sec + 5
        connected = await rig.message(StreamConnected)
        assert connected.since.monotonic_sec == line.opened_sec, "it missed nothing since it stood"
        assert len(rig.binance.connections) == 1


async def test_a_ban_after_the_handshake_leaves_the_connection_unproven_until_it_ends(rig: FakeRig) -> None:
    until = rig.binance.clock.now().earlier_by(-90.0)
    rig.binance.keep_alive_refusals = [RateLimited(until, "418")]
    async with rig.connected():
        proven = await rig.message(StreamProven)
        assert 88 < proven.as_of.monotonic_sec - (until.monotonic_sec - 90) < 92
        assert len(rig.binance.connections) == 1


async def test_a_connection_with_a_dead_key_is_never_trusted_and_soon_replaced(rig: FakeRig) -> None:
    def die_once(_connection: FakeConnection) -> None:
        rig.binance.delete_key(replaced=True)
        rig.binance.on_connect = lambda _connection: None

    rig.binance.on_connect = die_once
    async with rig.connected() as dead:
        again = await rig.binance.connected(2)
        assert dead.listen_key == "key-1" and again.listen_key == "key-2"
        assert again.opened_sec - dead.opened_sec < 0.5
        proven = await rig.message(StreamProven)
        assert proven.epoch == 1
        assert not rig.messages_of(StreamLost), "what was never trusted is not lost"


async def test_a_divergence_ends_the_connection_and_only_a_new_one_is_trusted(rig: FakeRig) -> None:
    async with rig.connected() as old:
        await trio.sleep(40.5)
        diverged = rig.clock.now()
        rig.book.lose_trust(diverged)
        lost = await rig.message(StreamLost)
        assert (lost.why, lost.at.monotonic_sec) == ("diverged from the exchange", diverged.monotonic_sec)
        connected = await rig.message(StreamConnected, 2)
        assert old.closed_sec is not None
        assert 0 < connected.since.monotonic_sec - diverged.monotonic_sec < 0.3
        proofs = [proof for proof in rig.messages_of(StreamProven) if proof.as_of > diverged]
        assert all(proof.epoch == 2 for proof in proofs)
        await trio.sleep(60)
        assert len(rig.messages_of(StreamLost)) == 1, "its own loss is no divergence"


async def test_a_pong_that_comes_with_the_divergence_begins_nothing(rig: FakeRig) -> None:
    async with rig.running():
        for number in range(1, 30):
            await rig.message(StreamConnected, number)
            await trio.sleep(31.5)
            rig.book.lose_trust(rig.clock.now())
            rig.binance.line.pong()
        await rig.message(StreamConnected, 30)
        begun = {message.since for message in rig.messages_of(StreamConnected)}
        assert len(begun) == len(rig.messages_of(StreamConnected)) == len(rig.binance.connections) == 30


async def test_a_loss_of_trust_from_before_the_connection_ends_nothing(rig: FakeRig) -> None:
    before = rig.clock.now()
    async with rig.running():
        await rig.message(StreamProven)
        rig.book.lose_trust(before)
        await trio.sleep(60)
        assert len(rig.binance.connections) == 1
        assert not rig.messages_of(StreamLost)


async def test_connections_that_keep_diverging_are_made_with_growing_pauses(rig: FakeRig) -> None:
    async with rig.running():
        began_sec = trio.current_time()
        for period in range(1, 100):
            await rig.message(StreamConnected, period)
            if trio.current_time() > began_sec + FIVE_MINUTES_SEC:
                break
            await trio.sleep(1)
            rig.book.lose_trust(rig.clock.now())
        assert most_within(rig.binance.connects_sec, 60) <= 12
        assert len(rig.binance.connects_sec) <= 30


def accept_and_close(binance: FakeBinance) -> None:
    binance.on_connect = FakeConnection.hang_up


def accept_and_expire_the_key(binance: FakeBinance) -> None:
    binance.on_connect = lambda _connection: binance.expire_key()


def accept_on_a_dead_key(binance: FakeBinance) -> None:
    binance.on_connect = lambda _connection: binance.delete_key()


def refuse_the_handshake(binance: FakeBinance) -> None:
    binance.connect_refusals = [ExchangeUnavailable("refused")] * 10_000


def refuse_the_key(binance: FakeBinance) -> None:
    binance.refusals = [ExchangeUnavailable("503")] * 10_000


def say_nonsense(binance: FakeBinance) -> None:
    binance.on_connect = lambda connection: connection.push(b"not json")


def refuse_keep_alives(binance: FakeBinance) -> None:
    binance.keep_alive_refusals = [ListenKeyUnknown(-1125, "no such key")] * 10_000


Fault = Callable[[FakeBinance], None]
FAULTS: list[Fault] = [
    accept_and_close,
    accept_and_expire_the_key,
    accept_on_a_dead_key,
    refuse_the_handshake,
    refuse_the_key,
    say_nonsense,
    refuse_keep_alives,
]


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("seed", range(3))
async def test_a_storm_of_failing_connections_stays_small_and_ends_with_the_fault(
    fault: Fault, seed: int
) -> None:
    rig = FakeRig(seed=seed)
    async with rig.running():
        await trio.sleep(100)
        fault(rig.binance)
        if rig.binance.line.closed_sec is None:
            rig.binance.line.hang_up()
        struck_sec = trio.current_time()
        await trio.sleep(FIVE_MINUTES_SEC)
        storm = [at_sec for at_sec in rig.binance.attempts_sec if at_sec >= struck_sec]
        assert sum(at_sec < struck_sec + 60 for at_sec in storm) <= 12
        assert most_within(rig.binance.connects_sec, 60) <= 12
        assert 15 <= len(storm) <= 40, "it goes on trying"
        assert len(rig.messages_of(StreamConnected)) == 1, "and costs no reads of positions"
        rig.binance.on_connect = lambda _connection: None
        rig.binance.refusals, rig.binance.connect_refusals, rig.binance.keep_alive_refusals = [], [], []
        ended_sec = trio.current_time()
        again = await rig.message(StreamConnected, 2)
        assert again.since.monotonic_sec - ended_sec < 21


@pytest.mark.parametrize("stands_sec", [0.2, 0.7, 2.0, 8.0])
async def test_connections_that_are_proven_and_closed_within_seconds_stay_few(
    rig: FakeRig, stands_sec: float
) -> None:
    async with rig.running():
        await trio.sleep(100)
        struck_sec = trio.current_time()
        with trio.move_on_after(FIVE_MINUTES_SEC):
            for number in range(1, 1000):
                connection = await rig.binance.connected(number)
                await trio.sleep_until(max(struck_sec, connection.opened_sec + stands_sec))
                connection.hang_up()
        storm = [at_sec for at_sec in rig.binance.connects_sec if at_sec >= struck_sec]
        assert sum(at_sec < struck_sec + 60 for at_sec in storm) <= 12
        assert len(storm) <= 60
        # Each period costs one bulk read (weight 5), each connection a key and a keep-alive (1 each).
        assert 5 * len(rig.messages_of(StreamConnected)) + 2 * len(storm) <= 7 * len(storm) + 10


@pytest.mark.parametrize(
    ("stands_sec", "losses", "back_within_sec"),
    [pytest.param(10, 39, 0.7, id="every 10 s"), pytest.param(35, 19, 0.2, id="isolated")],
)
async def test_a_proven_connection_that_is_lost_is_followed_by_a_new_one_at_once(
    rig: FakeRig, stands_sec: float, losses: int, back_within_sec: float
) -> None:
    """A stream that drops every 10 s is proven all the same, and worth more than reads alone."""
    async with rig.running():
        for number in range(1, losses + 1):
            connection = await rig.binance.connected(number)
            await trio.sleep(stands_sec)
            connection.hang_up()
            lost = await rig.message(StreamLost, number)
            again = await rig.binance.connected(number + 1)
            assert again.opened_sec - lost.at.monotonic_sec <= back_within_sec
        assert most_within(rig.binance.connects_sec, FIVE_MINUTES_SEC) <= 60


async def test_private_stream_and_mark_prices_together_stay_within_the_limit(rig: FakeRig) -> None:
    # Mark prices: a frame, then a close, again and again; the private stream: accept and close.
    script = [answer for _ in range(500) for answer in ([event("A", "1", 1)], UnreadableEvent("not JSON"))]
    marks = FeedRig(*script, limit=rig.limit)
    accept_and_close(rig.binance)
    async with rig.running(), background(marks.feed.run, Heartbeat()):
        await trio.sleep(2 * FIVE_MINUTES_SEC)
        both = sorted(rig.binance.connects_sec + marks.connector.tries_sec)
        assert most_within(both, 60) <= 12
        assert most_within(both, FIVE_MINUTES_SEC) <= 60
        assert len(rig.binance.connects_sec) > 20 and len(marks.connector.tries_sec) > 5


async def test_connections_of_restarted_actors_count_against_the_limit(rig: FakeRig) -> None:
    began_sec = trio.current_time()
    while trio.current_time() < began_sec + FIVE_MINUTES_SEC:
        async with rig.running():
            await trio.sleep(0.5)
    assert most_within(rig.binance.connects_sec, 60) <= 12


async def test_events_dated_ahead_have_the_clock_synchronised_and_count_as_no_delay(rig: FakeRig) -> None:
    async with rig.connected() as line:
        await trio.sleep(100.3)
        compared = rig.binance.comparisons
        # The exchange's clock is 5 s ahead from now on.
        rig.binance.skew_ms = 5_000
        line.push(account_update("BTCUSDT", "1", rig.binance.true_ms()))
        await trio.sleep(2.1)
        assert rig.binance.assumed_skew_ms == 5_000
        # A date that no clock explains: compared again, every 2 s at most.
        for step in range(100):
            line.push(account_update("BTCUSDT", str(step), rig.binance.true_ms() + 3_600_000))
            await trio.sleep(0.1)
        assert 3 <= rig.binance.comparisons - compared <= 7
        assert rig.known_status.allowance_sec == 0.25
