"""Shared parts of these tests: an exchange, and an environment without the test's own."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from decimal import Decimal

import httpx
import msgspec
import trio

from simulator import MarketOrder, Order, RunningSimulator, SimulatedExchange
from simulator.symbols import load_symbols
from tests.integration.waiting import until_async

POSITION_RISK = "/fapi/v2/positionRisk"
#: The real ones with their real step sizes, few enough to start quickly.
SYMBOLS = (
    "BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT", "DOGEUSDT", "ADAUSDT", "AVAXUSDT", "LINKUSDT",
    "LTCUSDT", "BCHUSDT", "DOTUSDT", "TRXUSDT", "UNIUSDT", "ATOMUSDT", "NEARUSDT", "FILUSDT",
)  # fmt: skip


class Readiness(msgspec.Struct, frozen=True):
    """The answer of `/readyz`."""

    ready: bool
    reasons: list[str]


_BETWEEN_PROBES_SEC = 0.03
#: A client of its own for each probe reads the certificates again: 30 ms of computing.
_TLS = ssl.create_default_context()


def small_exchange() -> SimulatedExchange:
    """Return an account on an exchange of 16 symbols."""
    listed = load_symbols()
    return SimulatedExchange(symbols={name: listed[name] for name in SYMBOLS})


def environment(redis_url: str, simulator: RunningSimulator, settings: Mapping[str, str]) -> dict[str, str]:
    """Return the service's whole environment, without the test's own."""
    exchange = simulator.exchange
    return {
        "REDIS_URL": redis_url,
        "BINANCE_API_KEY": exchange.api_key,
        "BINANCE_API_SECRET": exchange.api_secret,
        "BINANCE_REST_URL": simulator.addresses.rest_url,
        "BINANCE_WS_URL": simulator.addresses.ws_url,
        "P33_METRICS_PORT": "0",
        "P33_INSTANCE": "first",
        "P33_COOLDOWN_SEC": "0",
        "P33_ALLOWLIST_SOURCE": "env",
        "P33_ALLOWLIST": ",".join(exchange.listing.symbols),
        **settings,
    }


def trade(exchange: SimulatedExchange, symbol: str, side: str, quantity: str) -> Order:
    """Return a market order of ours, filled at once."""
    order = MarketOrder(symbol=symbol, side="BUY" if side == "BUY" else "SELL", quantity=Decimal(quantity))
    return exchange.place_order(order)


async def cut_stream(simulator: RunningSimulator) -> None:
    """End the private stream, and refuse every new one."""
    simulator.exchange.faults.refuse_streams = True
    await simulator.streams.reset("private")


async def readiness(url: str) -> tuple[int, Readiness]:
    """Return status and body of `/readyz`; wait before, so that repeated calls leave CPU to the daemon."""
    await trio.sleep(_BETWEEN_PROBES_SEC)
    async with httpx.AsyncClient(trust_env=False, verify=_TLS) as client:
        response = await client.get(f"{url}/readyz", timeout=2)
    return response.status_code, msgspec.json.decode(response.content, type=Readiness)


async def is_ready(find_url: Callable[[], str], within_sec: float = 10.0) -> None:
    """Wait until `/readyz` says 200; its address may change in that time. AssertionError has the reasons."""
    shown = Readiness(ready=False, reasons=["no answer"])

    async def look() -> bool:
        nonlocal shown
        try:
            status, shown = await readiness(find_url())
        except httpx.TransportError:
            return False
        assert (status == 200) is shown.ready
        return shown.ready

    try:
        await until_async(look, "ready", within_sec)
    except AssertionError as late:
        raise AssertionError(f"{late}; {shown.reasons}") from None


async def is_unready(url: str, *words: str, within_sec: float = 5.0) -> Readiness:
    """Wait until `/readyz` says 503 with a reason that has all of `words`."""

    async def look() -> Readiness | None:
        status, shown = await readiness(url)
        named = any(all(word in reason for word in words) for reason in shown.reasons)
        return shown if status == 503 and named else None

    shown = await until_async(look, f"not ready because of {words}", within_sec)
    assert shown is not None
    return shown


async def stream_is_trusted(url: str, within_sec: float = 10.0) -> None:
    """Wait until `/status` says that the private stream is proven."""

    async def look() -> bool:
        await trio.sleep(_BETWEEN_PROBES_SEC)
        async with httpx.AsyncClient(trust_env=False, verify=_TLS) as client:
            response = await client.get(f"{url}/status", timeout=5)
        return bool(msgspec.json.decode(response.content)["stream"]["trusted"])

    await until_async(look, "the private stream is trusted", within_sec)
