"""Checks of Binance: reachability, clock, symbols, key. Reads only: no order, no listen key, 8 weight."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime
from random import SystemRandom

import trio

from brain.error_groups import first_error
from brain.moment import Moment
from brain.symbols.allowlist import Allowlist
from channels import DropOldest, MetricEvent
from clock import HostClock
from commands.check.findings import Finding, failed, ok, skipped, warning
from commands.check.key_permissions import permission_findings
from commands.check.openable import NOTHING_OPENS
from commands.check.redis_server import skew_finding
from exchange.account import AccountConfig, KeyPermissions
from exchange.errors import AskLater, ClockSkewed, ExchangeError, ExchangeRejected
from exchange.key_refusal import KEY_REFUSED, key_refusal
from exchange.market_stream import MarketStreamConnector
from exchange.rest import BinanceRest
from exchange.server_time import ServerTime
from exchange.weight_budget import WeightBudget
from settings import Settings, SettingsError

_BINANCE, _KEY, _WEIGHT = "binance", "api key", "request weight"
_TIMEOUT_SEC = 5.0
_FIRST_FRAME_SEC = 5.0
_NO_SUCH_PATH = -5000
_KEY_FIXES = {
    -1022: "the secret does not belong to the key: set the pair anew",
    -2014: "this is no API key: set it anew, without quotes or blanks",
}


class _ExchangeHost:
    """A client of one Binance host, with its weight budget and clock."""

    def __init__(
        self, url: str, settings: Settings, server_time: ServerTime, banned_until_ms: int | None
    ) -> None:
        credentials = settings.require_credentials()
        self.clock = HostClock()
        self.budget = WeightBudget(
            self.clock,
            settings.weight_budget_per_min,
            exchange_ms=server_time.exchange_ms,
            banned_until_wall_ms=banned_until_ms,
        )
        self.rest = BinanceRest(
            url,
            credentials.api_key.reveal(),
            credentials.api_secret.reveal(),
            clock=self.clock,
            budget=self.budget,
            server_time=server_time,
            metrics=DropOldest[MetricEvent]("check", 1),
            rng=SystemRandom(),
            timeout_sec=_TIMEOUT_SEC,
        )


async def exchange_findings(
    settings: Settings, allowlist: Allowlist | None, *, banned_until_ms: int | None
) -> AsyncIterator[Finding]:
    """Yield the findings. `allowlist` is None where Redis cannot be asked.

    `banned_until_ms` (wall clock) is a stored ban: nothing is sent before it ends.
    """
    try:
        settings.require_credentials()
    except SettingsError:
        yield skipped(_BINANCE, "needs credentials")
        return
    server_time = ServerTime()
    host = _ExchangeHost(settings.binance_rest_url, settings, server_time, banned_until_ms)
    async with host.rest as rest:
        begun = host.clock.now()
        try:
            await rest.synchronise_clock()
        except ExchangeError as error:
            yield _unreachable(settings, error)
            return
        ended = host.clock.now()
        took_sec = ended.monotonic_sec - begun.monotonic_sec
        yield ok(_BINANCE, f"{settings.binance_rest_url} answers in {took_sec * 1000:.0f} ms")
        yield skew_finding(
            "binance clock",
            "Binance's clock",
            (server_time.exchange_ms(ended) - ended.wall_ms) / 1000,
            took_sec / 2,
            "this service follows it, but other services' orders are refused when they are 5 s off",
        )
        yield await _symbols(settings, allowlist, rest)
        async for finding in _account(settings, rest, server_time):
            yield finding
        yield await _stream(settings, host.clock)
        yield _weight(settings, host.budget)


async def _symbols(settings: Settings, allowlist: Allowlist | None, rest: BinanceRest) -> Finding:
    name = "exchangeInfo"
    try:
        rules = (await rest.symbol_rules()).rules
    except ExchangeError as error:
        return failed(
            name, str(error), "without it no plan is decided: try again, and look at Binance's status page"
        )
    trading = {symbol for symbol, each in rules.items() if each.trading}
    openable = frozenset(settings.allowlist) if allowlist is None else allowlist.symbols
    unknown = sorted({*settings.allowlist, *openable} - trading)
    detail = f"{len(rules)} symbols, {len(trading)} trading"
    if unknown:
        detail += f"; not among them: {', '.join(unknown[:5])}{' …' if len(unknown) > 5 else ''}"
        lists = "P33_ALLOWLIST" if set(unknown) & set(settings.allowlist) else "the universe"
        if openable and not openable & trading:
            return failed(name, f"{detail}: {NOTHING_OPENS}", f"correct {lists}: nothing in it trades")
        return warning(name, detail, f"correct {lists}: these are never opened")
    return ok(name, detail)


async def _account(settings: Settings, rest: BinanceRest, server_time: ServerTime) -> AsyncIterator[Finding]:
    try:
        config = await _config(rest)
    except ExchangeError as error:
        if isinstance(error, ExchangeRejected) and error.code == KEY_REFUSED:
            async for finding in _refused_key(settings, server_time, error):
                yield finding
            return
        yield failed(_KEY, str(error), _key_fix(error))
        yield skipped("key permissions", "need a valid key, as does the position mode")
        return
    if config.can_trade is False:
        yield warning(_KEY, "valid, but the account may not trade", "ask Binance why futures trading is off")
    else:
        yield ok(_KEY, f"valid; requests are signed with {rest.key_kind}")
    async for finding in _permissions(settings, server_time):
        yield finding
    yield _position_mode(config)


async def _refused_key(
    settings: Settings, server_time: ServerTime, error: ExchangeRejected
) -> AsyncIterator[Finding]:
    """Yield why the futures API refuses the key, as far as the wallet API shows it."""
    permissions: KeyPermissions | None = None
    if url := settings.wallet_url:
        with suppress(ExchangeError):
            permissions = await _key_permissions(url, settings, server_time)
    refusal = key_refusal(permissions)
    yield failed(_KEY, str(error) if permissions is None else refusal.cause, refusal.fix)
    yield skipped("key permissions", "need a valid key, as does the position mode")


def _key_fix(error: ExchangeError) -> str:
    if isinstance(error, ClockSkewed):
        return "requests take longer than their window of 5 s: look at the network to Binance"
    if isinstance(error, ExchangeRejected):
        return _KEY_FIXES.get(error.code, "look the code up among Binance's error codes")
    return "try again; if Binance keeps refusing, look at its status page"


async def _config(rest: BinanceRest) -> AccountConfig:
    try:
        return await rest.account_config()
    except ExchangeRejected as error:
        if error.code != _NO_SUCH_PATH:
            raise
    return AccountConfig(dual_side_position=await rest.hedge_mode())


async def _permissions(settings: Settings, server_time: ServerTime) -> AsyncIterator[Finding]:
    name = "key permissions"
    url = settings.wallet_url
    if url is None:
        yield skipped(name, f"{settings.binance_rest_url} does not report them; the key can read")
        return
    try:
        permissions = await _key_permissions(url, settings, server_time)
    except ExchangeError as error:
        yield warning(name, f"{url} did not answer: {error}", "look at Binance's API management page")
        return
    for finding in permission_findings(name, permissions, sends_orders=settings.executing == "on"):
        yield finding


async def _key_permissions(url: str, settings: Settings, server_time: ServerTime) -> KeyPermissions:
    async with _ExchangeHost(url, settings, server_time, None).rest as wallet:
        return await wallet.key_permissions()


def _position_mode(config: AccountConfig) -> Finding:
    name = "position mode"
    if config.dual_side_position is None:
        return warning(
            name, "not in Binance's answer", "look at the position mode in the account's preferences"
        )
    if config.dual_side_position:
        return ok(name, "hedge: a plan must name its positionSide, or is denied position_side_required")
    return ok(name, "one-way")


async def _stream(settings: Settings, clock: HostClock) -> Finding:
    name, url = "binance streams", settings.binance_ws_url
    fix = "let this host reach it (wss, port 443), or correct BINANCE_WS_URL; without streams it polls"
    begun_sec = trio.current_time()
    symbols, why = 0, f"no mark price within {_FIRST_FRAME_SEC:g} s"
    try:
        with trio.move_on_after(_FIRST_FRAME_SEC):
            async with trio.open_nursery() as nursery:
                stream = await MarketStreamConnector(url, clock=clock).connect(nursery)
                updates, _ = await stream.receive()
                symbols = len(updates)
                nursery.cancel_scope.cancel()
    except* ExchangeError as group:
        why = str(first_error(group))
    if not symbols:
        return failed(name, f"{url}: {why}", fix)
    return ok(name, f"{url}: mark prices of {symbols} symbols after {trio.current_time() - begun_sec:.1f} s")


def _weight(settings: Settings, budget: WeightBudget) -> Finding:
    used, limit = budget.address_used, budget.address_limit_per_min
    detail = f"{used} of {limit} used at this address this minute, {budget.own_used} of it by this check"
    if used - budget.own_used + settings.weight_budget_per_min > limit:
        return warning(
            _WEIGHT,
            f"{detail}; with P33_WEIGHT_BUDGET_PER_MIN={settings.weight_budget_per_min} it may not suffice",
            "find out what else sends requests from this address, or lower P33_WEIGHT_BUDGET_PER_MIN",
        )
    return ok(_WEIGHT, detail)


def _unreachable(settings: Settings, error: ExchangeError) -> Finding:
    if isinstance(error, AskLater):
        return failed(
            _BINANCE,
            f"{error}; it ends at {_clock_time(error.until)}, and no request was sent",
            "wait; then find out what at this address uses so much request weight",
        )
    return failed(
        _BINANCE,
        f"{settings.binance_rest_url}: {error}",
        "let this host reach it (https, port 443; DNS), or correct BINANCE_REST_URL",
    )


def _clock_time(moment: Moment) -> str:
    return datetime.fromtimestamp(moment.wall_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
