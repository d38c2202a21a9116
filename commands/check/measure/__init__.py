"""`check --measure`: measures at the exchange what its documents leave open, in about three minutes.

It reads, listens and pings. It deletes the listen key and sends an order only when asked to.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial

import msgspec
import trio
from rich.console import Console

import settings
from commands.check.exchange_access import first_of
from commands.check.measure.access import ExchangeAccess
from commands.check.measure.clocks import measure_clock
from commands.check.measure.listen_keys import measure_deletion, measure_pings, measure_unknown_key
from commands.check.measure.mark_prices import measure_mark_prices
from commands.check.measure.order import MeasuredOrder
from commands.check.measure.order_plan import OrderImpossibleError, OrderPlan, plan_order
from commands.check.measure.pace import Pace
from commands.check.measure.positions import measure_positions
from commands.check.measure.questions import Ask, exchange_name, may_delete_key, may_order
from commands.check.measure.rows import Row, skipped
from commands.check.measure.table import Header, Table
from commands.check.measure.weights import QUESTIONS, measure_weight
from commands.check.redis_server import remembered_ban
from commands.progress import patience
from commands.redis_reading import reading
from exchange.errors import ExchangeError, RateLimited
from exchange.signing import UnusableKeyError
from exchange.trouble import until_utc
from settings import Settings, SettingsError

_DELETION, _ORDER = "DELETE of the listen key", "an order of the least size and its close"
#: Measured with where no symbol is named: every exchange of Binance's has it.
_USUAL_SYMBOL = "BTCUSDT"
_INTERRUPTED = 130
_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class MeasureOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line asks for."""

    as_json: bool = False
    delete_key: bool = False
    order_symbol: str | None = None


class _Step(msgspec.Struct, frozen=True):
    name: str
    run: Callable[[], Awaitable[None]]


class _Ended(msgspec.Struct):
    """Why the measurements ended early."""

    interrupted: bool = False


def measure(
    environ: Mapping[str, str], options: MeasureOptions, *, ask: Ask | None, pace: Pace | None = None
) -> int:
    """Measure and print the table. Raises SettingsError.

    `ask` puts a question to a person; None: nobody can be asked. Exit code 1: a measurement could not be
    made, which the table names. 130: interrupted; the table has what was measured until then.
    """
    pace = pace or Pace()
    own = settings.load(environ).settings
    with reading(environ) as redis:
        banned_until_ms = remembered_ban(redis)
    try:
        access = ExchangeAccess(own, pace, banned_until_ms=banned_until_ms)
    except UnusableKeyError as error:
        raise SettingsError("BINANCE_API_SECRET", f": {error}") from None
    table = Table()
    header = Header(exchange_name(own), access.key_kind, time.time_ns() // 1_000_000)
    plan = _planned(access, own, options, table, ask)
    delete = may_delete_key(ask, own, by_option=options.delete_key)
    steps = _steps(access, table, pace, options.order_symbol or _USUAL_SYMBOL)
    if plan is not None:
        steps.append(_Step(_ORDER, MeasuredOrder(access, plan, table, pace).run))
    if delete:
        steps.append(_Step(_DELETION, _adding(table, partial(measure_deletion, access, pace))))
    ended = _Ended()
    with patience(f"measuring at {own.binance_rest_url}", Console(stderr=True), pace.lasts_sec):
        trio.run(_measured, access, steps, table, ended)
    if not delete and not ended.interrupted:
        table.add(skipped(_DELETION, "not asked for: a terminal asks, elsewhere --delete-key"))
    print(table.json(header) if options.as_json else table.markdown(header))
    return _INTERRUPTED if ended.interrupted else table.exit_code


def _planned(
    access: ExchangeAccess, own: Settings, options: MeasureOptions, table: Table, ask: Ask | None
) -> OrderPlan | None:
    """Plan the order that was asked for, if there is one and a person agrees to it."""
    if options.order_symbol is None:
        return None
    if ask is None:
        table.not_measured(_ORDER, "no order without a terminal to ask at")
        return None
    try:
        plan = trio.run(_plan, access, options.order_symbol)
    except (OrderImpossibleError, ExchangeError) as error:
        table.not_measured(_ORDER, str(error))
        return None
    if may_order(ask, own, plan):
        return plan
    table.add(skipped(_ORDER, "the answer to the question was no"))
    return None


async def _plan(access: ExchangeAccess, symbol: str) -> OrderPlan:
    async with access.opened():
        await measure_clock(access, Pace(clock_requests=1))
        return await plan_order(access, symbol)


def _steps(access: ExchangeAccess, table: Table, pace: Pace, symbol: str) -> list[_Step]:
    async def weights() -> None:
        for question in QUESTIONS:
            table.add(await measure_weight(access, question, symbol))

    return [
        _Step("the exchange's clock", _adding(table, partial(measure_clock, access, pace))),
        _Step("weights", weights),
        _Step("rows of `positionRisk`", _adding(table, partial(measure_positions, access))),
        _Step("mark prices", _adding(table, partial(measure_mark_prices, access, pace))),
        _Step("pings on `/private`", _adding(table, partial(measure_pings, access, pace))),
        _Step("a made-up listen key", _adding(table, partial(measure_unknown_key, access, pace))),
    ]


def _adding(table: Table, rows: Callable[[], Awaitable[list[Row]]]) -> Callable[[], Awaitable[None]]:
    async def run() -> None:
        table.add(*await rows())

    return run


async def _measured(access: ExchangeAccess, steps: list[_Step], table: Table, ended: _Ended) -> None:
    """Take the steps; stop at the first ban, where the exchange does not answer at all, and at a signal."""
    async with trio.open_nursery() as nursery:
        if threading.current_thread() is threading.main_thread():
            await nursery.start(_stop_on_signal, nursery.cancel_scope, ended)
        async with access.opened():
            for number, step in enumerate(steps):
                why_stop = await _taken(step, table, is_first=number == 0)
                if why_stop is not None:
                    for left in steps[number + 1 :]:
                        table.not_measured(left.name, why_stop)
                    break
        nursery.cancel_scope.cancel()


async def _taken(step: _Step, table: Table, *, is_first: bool) -> str | None:
    """Take a step. Returns why no further one may be taken, or None."""
    error: BaseException | None = None
    try:
        await step.run()
    except* ExchangeError as group:
        error = first_of(group)
    if error is None:
        return None
    table.not_measured(step.name, str(error))
    if isinstance(error, RateLimited):
        return f"not asked: requests stopped at the ban, which lasts {until_utc(error.until)}"
    return "not asked: the exchange does not answer" if is_first else None


async def _stop_on_signal(
    scope: trio.CancelScope, ended: _Ended, *, task_status: trio.TaskStatus[None]
) -> None:
    with trio.open_signal_receiver(*_STOPPING) as signals:
        task_status.started()
        async for _ in signals:
            ended.interrupted = True
            scope.cancel()
