"""The growth of the used-weight header: over minutes that change, and beside other requests."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from brain.moment import Moment
from commands.check.measure.access import ExchangeAccess
from commands.check.measure.rows import Outcome
from commands.check.measure.weights import WeightQuestion, measure_weight
from exchange import endpoints, wire
from exchange.endpoints import Endpoint
from exchange.errors import RateLimited
from exchange.transport import Answer
from settings import load
from tests.commands.measure.rig import QUICK

QUESTION = WeightQuestion(endpoints.SYMBOL_CONFIG, 5)
CREDENTIALS = {"BINANCE_API_KEY": "key", "BINANCE_API_SECRET": "secret"}


class ScriptedAccess(ExchangeAccess):
    """Answers with prepared headers; each is the second of the exchange's clock and the used weight."""

    def __init__(self, answers: Sequence[tuple[float, int | None]]) -> None:
        super().__init__(load(CREDENTIALS).settings, QUICK, banned_until_ms=None)
        self._answers = list(answers)
        self.banned_until: Moment | None = None

    async def send(self, endpoint: Endpoint, params: dict[str, str] | None = None) -> Answer:
        if self.banned_until is not None:
            raise RateLimited(self.banned_until, "banned")
        second, used = self._answers.pop(0)
        at = Moment(second, round(second * 1000))
        return Answer(wire.Body(b"{}"), at, at, used)

    def exchange_ms(self, at: Moment) -> int:
        return at.wall_ms


async def found(*answers: tuple[float, int | None]) -> tuple[str, Outcome]:
    row = await measure_weight(ScriptedAccess(answers), QUESTION, "BTCUSDT")
    return row.found, row.outcome


async def test_the_growth_around_one_request_is_its_weight() -> None:
    assert await found((1, 10), (2, 15), (3, 20)) == ("5", Outcome.AGREES)


async def test_a_round_in_which_the_minute_changed_is_repeated() -> None:
    assert await found((59, 90), (59.9, 95), (60, 5), (61, 6), (62, 11), (63, 16)) == ("5", Outcome.AGREES)


async def test_requests_of_others_make_no_weight_larger() -> None:
    text, outcome = await found((1, 10), (2, 55), (3, 60))
    assert outcome is Outcome.AGREES
    assert text == "5 (once 45: others at this address sent requests, too)"


async def test_without_the_header_there_is_no_weight() -> None:
    text, outcome = await found((1, 10), (2, None), (3, 20))
    assert outcome is Outcome.UNMEASURED
    assert "X-MBX-USED-WEIGHT-1M" in text


async def test_a_minute_that_always_changes_is_named() -> None:
    answers = [(60.0 * number, 1) for number in range(9)]
    assert await found(*answers) == ("the minute changed in each round", Outcome.UNMEASURED)


async def test_a_ban_ends_the_measurement() -> None:
    access = ScriptedAccess([])
    access.banned_until = Moment(0.0, 0)
    with pytest.raises(RateLimited):
        await measure_weight(access, QUESTION, "BTCUSDT")
