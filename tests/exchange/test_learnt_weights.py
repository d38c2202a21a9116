"""The weight of an endpoint, learnt from the header that counts it."""

from __future__ import annotations

import httpx
import trio
from trio.testing import MockClock

from brain.moment import Moment
from exchange.endpoints import NEW_ORDER, POSITION_MODE, POSITION_RISK, QUERY_ORDER
from exchange.learnt_weights import LearntWeights
from tests.exchange.scripted import ScriptedRest

NOW = Moment(0.0, 60_000 * 28_000_000)


class Exchange:
    """Counts like the exchange; others use `others` between two of our requests."""

    def __init__(self, used: int = 0) -> None:
        self.weights = LearntWeights(lambda at: at.wall_ms)
        self.used = used
        self.now = NOW

    def request(self, weight: int, *, others: int = 0) -> None:
        flight = self.weights.sending()
        self.used += weight + others
        self.weights.done(POSITION_RISK, flight, self.now, self.used)


def test_the_growth_of_the_count_is_the_weight() -> None:
    exchange = Exchange()
    assert exchange.weights.of(POSITION_RISK) == 5
    exchange.request(10)
    assert exchange.weights.of(POSITION_RISK) == 5
    exchange.request(10)
    assert exchange.weights.of(POSITION_RISK) == 10
    assert exchange.weights.of(POSITION_MODE) == 30


def test_the_use_of_others_is_not_taken_for_the_weight_for_long() -> None:
    exchange = Exchange()
    exchange.request(5)
    exchange.request(5, others=12)
    exchange.request(5, others=3)
    exchange.request(5)
    assert exchange.weights.of(POSITION_RISK) == 5
    for _ in range(3):
        exchange.request(5, others=500)
    assert exchange.weights.of(POSITION_RISK) == 5


def test_a_weight_that_falls_again_is_followed_but_not_below_the_documented_one() -> None:
    exchange = Exchange()
    for _ in range(5):
        exchange.request(10)
    assert exchange.weights.of(POSITION_RISK) == 10
    exchange.request(2)
    assert exchange.weights.of(POSITION_RISK) == 5


def test_requests_that_overlap_or_lie_in_two_minutes_teach_nothing() -> None:
    exchange = Exchange()
    exchange.request(10)
    first, second = exchange.weights.sending(), exchange.weights.sending()
    exchange.weights.done(POSITION_RISK, first, NOW, 20)
    exchange.weights.done(POSITION_RISK, second, NOW, 30)
    exchange.used = 30
    exchange.now = Moment(60.0, NOW.wall_ms + 60_000)
    exchange.used = 20
    exchange.request(10)
    assert exchange.weights.of(POSITION_RISK) == 5


def test_an_answer_without_the_count_breaks_the_comparison() -> None:
    exchange = Exchange()
    exchange.request(10)
    exchange.weights.done(POSITION_RISK, exchange.weights.sending(), NOW, None)
    exchange.used += 10
    exchange.request(10)
    assert exchange.weights.of(POSITION_RISK) == 5


async def test_reads_are_reserved_at_their_learnt_weight(autojump_clock: MockClock) -> None:
    used = 0

    def answer() -> httpx.Response:
        nonlocal used
        used += 10
        return httpx.Response(200, content=b"[]", headers={"X-MBX-USED-WEIGHT-1M": str(used)})

    scripted = ScriptedRest({POSITION_RISK.path: answer})
    for _ in range(2):
        await scripted.rest.positions()
    await trio.sleep(61)
    await scripted.rest.positions()
    assert scripted.budget.own_used == 10


def test_a_query_of_an_order_teaches_nothing_about_placing_one_at_the_same_path() -> None:
    exchange = Exchange()
    for _ in range(3):
        flight = exchange.weights.sending()
        exchange.used += 1
        exchange.weights.done(QUERY_ORDER, flight, exchange.now, exchange.used)
    assert exchange.weights.of(QUERY_ORDER) == 1
    assert exchange.weights.of(NEW_ORDER) == 0
