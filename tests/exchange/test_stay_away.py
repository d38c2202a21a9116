"""Bans, the web firewall and maintenance: how often the exchange is asked while it refuses."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import httpx
import pytest
import trio

from brain.moment import Moment
from exchange.errors import AskLater, ExchangeError, ExchangeRejected, RateLimited, TemporarilyRefused
from exchange.refusals import read_ban, read_error, read_later
from tests.exchange.scripted import EPOCH_MS, ScriptedRest
from tests.virtual_time import virtual_time

pytestmark = virtual_time

POSITIONS, MODE, INFO = "/fapi/v2/positionRisk", "/fapi/v1/positionSide/dual", "/fapi/v1/exchangeInfo"
TIME = "/fapi/v1/time"
HTML = b"<html><body>Request blocked</body></html>"

Answer = Callable[[], httpx.Response]


def always(status: int, body: bytes = b"", **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda: httpx.Response(status, content=body, headers=named)


async def ask_for(scripted: ScriptedRest, seconds: float) -> None:
    """Four callers that ask as soon as they may, as the actors do."""
    rest = scripted.rest

    async def keep_asking(call: Callable[[], object]) -> None:
        while True:
            try:
                await call()  # type: ignore[misc]
                await trio.sleep(1)
            except AskLater as error:
                await trio.sleep_until(error.until.monotonic_sec)
            except ExchangeError:
                await trio.sleep(0.5)

    with trio.move_on_after(seconds):
        async with trio.open_nursery() as nursery:
            for call in (rest.positions, rest.hedge_mode, rest.symbol_rules, rest.create_listen_key):
                nursery.start_soon(keep_asking, call)


def refusing(answer: Answer) -> ScriptedRest:
    return ScriptedRest(dict.fromkeys((POSITIONS, MODE, INFO, "/fapi/v1/listenKey", TIME), answer))


class AdvancingClock:
    """Shows a later moment each time, as clocks of real hosts do."""

    def __init__(self) -> None:
        self._looks = 0

    def now(self) -> Moment:
        self._looks += 1
        later_sec = self._looks * 1e-6
        return Moment(trio.current_time() + later_sec, EPOCH_MS + round(trio.current_time() * 1000))


REFUSALS = [
    always(429),
    always(418),
    always(429, Retry_After="0"),
    always(418, Retry_After="0"),
    always(429, Retry_After="-5"),
    always(429, Retry_After="soon"),
    always(418, Retry_After="99999999999"),
    always(418, b'{"code":-1003,"msg":"Way too many requests; IP(1.2.3.4) banned until 1600000000000."}'),
    always(400, b'{"code":-1003,"msg":"Too many requests."}'),
    always(403, HTML),
]


@pytest.mark.parametrize("answer", REFUSALS)
async def test_a_minute_of_refusals_sees_three_rounds_of_requests_at_most(answer: Answer) -> None:
    scripted = refusing(always(200, b"[]"))
    del scripted.network.answers[TIME]
    # In a steady state, one request at a time meets the refusal first.
    await scripted.rest.synchronise_clock()
    scripted.network.answers = dict.fromkeys((POSITIONS, MODE, INFO, "/fapi/v1/listenKey", TIME), answer)
    with pytest.raises(RateLimited):
        await scripted.rest.positions()
    scripted.network.asked = scripted.network.asked[-1:]
    await ask_for(scripted, 60)
    assert len(scripted.network.asked) <= 3
    assert scripted.bans


async def test_callers_that_wait_for_the_end_of_a_ban_ask_one_at_a_time_until_one_is_answered() -> None:
    scripted = refusing(always(429))
    with pytest.raises(RateLimited):
        await scripted.rest.symbol_rules()
    scripted.network.asked.clear()
    await ask_for(scripted, 6)
    assert len(scripted.network.asked) == 1
    info = always(200, b'{"symbols":[]}')
    scripted.network.answers = {POSITIONS: always(200, b"[]"), INFO: info}
    await trio.sleep(60)
    await ask_for(scripted, 5)
    assert scripted.network.times(POSITIONS)
    assert scripted.rest.trouble() is None or "listenKey" in str(scripted.rest.trouble())


async def test_a_ban_asked_for_by_the_header_or_the_text_is_sat_out() -> None:
    until_ms = EPOCH_MS + 200_000
    text = b'{"code":-1003,"msg":"Way too many requests; IP(1.2.3.4) banned until %d."}' % until_ms
    for answer, lasts_sec in (
        (always(418, text), 200),
        (always(418, text, Retry_After="100"), 200),
        (always(418, text, Retry_After="259200"), 259_200),
        (always(429, Retry_After="7"), 7),
    ):
        scripted = refusing(answer)
        began = trio.current_time()
        with pytest.raises(RateLimited) as limited:
            await scripted.rest.symbol_rules()
        expected = until_ms / 1000 - EPOCH_MS / 1000 - began if lasts_sec == 200 else lasts_sec
        assert limited.value.until.monotonic_sec - began == pytest.approx(expected, abs=0.1)


async def test_the_web_firewall_stops_everything_for_five_minutes_and_is_named() -> None:
    scripted = refusing(always(403, HTML))
    with pytest.raises(RateLimited) as limited:
        await scripted.rest.symbol_rules()
    assert limited.value.until.monotonic_sec == pytest.approx(300, abs=0.1)
    assert scripted.bans == [limited.value.until.wall_ms]
    assert "web firewall answered 403" in str(scripted.rest.trouble())
    assert "2023-11-14 22:18:20 UTC" in str(scripted.rest.trouble())
    await trio.sleep(301)
    with pytest.raises(RateLimited) as again:
        await scripted.rest.symbol_rules()
    assert again.value.until.monotonic_sec - trio.current_time() == pytest.approx(600, abs=0.1)


LATER = [
    always(503, b'{"code":-1016,"msg":"This service is no longer available."}'),
    always(400, b'{"code":-1109,"msg":"Invalid account."}'),
    always(200, b'{"239999":"system maintenance"}'),
    always(503, b'{"239999": "system maintenance"}'),
    always(503, b'{"code":-1008,"msg":"Server is currently overloaded."}'),
    always(502, b"<html><head><title>502 Bad Gateway</title></head></html>"),
    always(200, b"\n <!DOCTYPE html><html>maintenance</html>"),
]


@pytest.mark.parametrize("answer", LATER)
async def test_maintenance_is_asked_again_after_growing_pauses_once_each(answer: Answer) -> None:
    scripted = ScriptedRest({POSITIONS: answer})
    with pytest.raises(TemporarilyRefused):
        await scripted.rest.positions()
    assert scripted.rest.trouble()
    with trio.move_on_after(300):
        while True:
            with pytest.raises(TemporarilyRefused) as refused:
                await scripted.rest.positions()
            await trio.sleep_until(refused.value.until.monotonic_sec)
    times = scripted.network.times(POSITIONS)
    pauses = [later - earlier for earlier, later in pairwise(times)]
    assert pauses == pytest.approx([1, 2, 4, 8, 16, 32, 60, 60, 60], abs=0.1)
    assert not scripted.bans


async def test_after_maintenance_the_first_answer_ends_the_pauses() -> None:
    scripted = ScriptedRest({POSITIONS: LATER[0]})
    with pytest.raises(TemporarilyRefused):
        await scripted.rest.positions()
    scripted.network.answers[POSITIONS] = always(200, b"[]")
    with pytest.raises(TemporarilyRefused):
        await scripted.rest.positions()
    await trio.sleep(1)
    assert (await scripted.rest.positions()).rows == ()
    assert scripted.rest.trouble() is None


@pytest.mark.parametrize(
    ("code", "words"), [(-2015, "API key is refused"), (-2014, "API key is refused"), (-1022, "API secret")]
)
async def test_a_refused_key_is_named_until_a_signed_request_is_answered(code: int, words: str) -> None:
    scripted = ScriptedRest({POSITIONS: always(401, b'{"code":%d,"msg":"refused"}' % code)})
    with pytest.raises(ExchangeRejected):
        await scripted.rest.positions()
    assert words in str(scripted.rest.trouble()) and str(code) in str(scripted.rest.trouble())
    assert "the-api-" not in str(scripted.rest.trouble())
    scripted.network.answers[POSITIONS] = always(200, b"[]")
    await scripted.rest.positions()
    assert scripted.rest.trouble() is None


async def test_an_unknown_symbol_is_no_trouble_of_the_exchange() -> None:
    scripted = ScriptedRest({POSITIONS: always(400, b'{"code":-1121,"msg":"Invalid symbol."}')})
    with pytest.raises(ExchangeRejected):
        await scripted.rest.positions("NOSUCH")
    assert scripted.rest.trouble() is None


@pytest.mark.parametrize(
    ("header", "asked_sec"),
    [
        ("90", 90.0),
        ("Tue, 14 Nov 2023 22:14:50 GMT", 90.0),
        ("Tue, 14 Nov 2023 22:13:19 GMT", 0.0),
        ("Tue, 14 Nov 2093 22:13:19 GMT", 0.0),
        ("soon", 0.0),
        ("-5", 0.0),
        ("", 0.0),
    ],
)
def test_the_end_of_a_ban_is_read_in_seconds_or_as_a_date(header: str, asked_sec: float) -> None:
    ban = read_ban(418, {"Retry-After": header}, b"", EPOCH_MS)
    assert ban is not None and ban.asked_sec == asked_sec


@pytest.mark.parametrize("status", [400, 403, 418, 429, 503, 200])
@pytest.mark.parametrize("body", [b"[" * 60_000, b'{"a":' * 10_000, b"\xff\xfe", b""])
def test_no_body_of_an_error_breaks_its_reading(status: int, body: bytes) -> None:
    assert (read_ban(status, {}, body, EPOCH_MS) is not None) == (status in (403, 418, 429))
    assert read_later(status, body) is None
    assert isinstance(read_error(status, body), ExchangeError)


async def test_a_request_that_is_cancelled_while_it_tries_lets_the_next_one_try() -> None:
    scripted = ScriptedRest({INFO: always(429)}, clock=AdvancingClock())
    with pytest.raises(RateLimited):
        await scripted.rest.symbol_rules()
    await trio.sleep(6)
    with trio.CancelScope() as scope:
        scope.cancel()
        await scripted.rest.symbol_rules()
    scripted.network.answers[INFO] = always(200, b'{"symbols":[]}')
    assert (await scripted.rest.symbol_rules()).rules == {}
