"""A listing whose transfer is cut at any byte never replaces the one that was published."""

from __future__ import annotations

import gzip
from collections.abc import Callable

import httpx
import msgspec
import pytest
import trio

from channels import RulesWanted
from simulator import SimulatedExchange
from simulator.market_answers import ExchangeInfo
from simulator.symbols import load_symbols
from tests.actors.universe_rig import NAMES, Rig
from tests.exchange.scripted import ScriptedRest
from tests.virtual_time import virtual_time

pytestmark = virtual_time

INFO = "/fapi/v1/exchangeInfo"
SYMBOL = "BTCUSDT"


def body() -> bytes:
    """`exchangeInfo` of an exchange with one symbol."""
    return ExchangeInfo(SimulatedExchange(symbols={SYMBOL: load_symbols()[SYMBOL]})).answer()


def plain(raw: bytes, length: int) -> httpx.Response:
    return httpx.Response(200, content=raw[:length])


def zipped(raw: bytes, length: int) -> httpx.Response:
    return httpx.Response(200, content=raw[:length], headers={"Content-Encoding": "gzip"})


@pytest.mark.parametrize(("encode", "answer"), [(bytes, plain), (gzip.compress, zipped)])
async def test_a_fetch_cut_at_any_byte_leaves_the_list_and_marks_it_as_stale(
    encode: Callable[[bytes], bytes], answer: Callable[[bytes, int], httpx.Response]
) -> None:
    raw, lengths = encode(body()), list[int]()
    scripted = ScriptedRest({INFO: lambda: answer(raw, lengths[-1])})
    rig = Rig()
    rig.exchange.symbol_rules = scripted.rest.symbol_rules  # type: ignore[method-assign]
    lengths.append(len(raw))
    async with rig.running():
        before = rig.redis.get(NAMES.active)
        assert before is not None and b'"symbols":["BTCUSDT"]' in before
        assert rig.channels.universe_channels is not None
        listing = rig.channels.universe_channels.listing
        for length in range(len(raw)):
            lengths.append(length)
            rig.channels.rules_wanted.send(RulesWanted("a cut"))
            with trio.fail_after(70):
                await listing.changed()
            assert msgspec.structs.asdict(listing.value)["error"], length  # type: ignore[arg-type]
        await trio.sleep(1)
        assert rig.redis.get(NAMES.active) == before
        assert rig.redis.get(NAMES.last_ok) == before
        assert rig.meta()["error"].startswith("fetch_failed: ")
        outcomes = await rig.counted("universe_refresh_total")
        assert outcomes == {"published": 1, "fetch_failed": len(raw)}
        lengths.append(len(raw))
        await trio.sleep(61)
        assert rig.meta()["stale"] == "0"
