"""`check --measure`: measures at the exchange what its documents leave open, in about two minutes.

It reads, listens and pings. It deletes the listen key and sends an order only when asked to.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Mapping
from contextlib import aclosing

import msgspec
import trio
from rich.console import Console

import settings
from commands.check.measure.access import ExchangeAccess
from commands.check.measure.clocks import measure_clock
from commands.check.measure.order import MeasuredOrder
from commands.check.measure.order_plan import OrderImpossibleError, OrderPlan, plan_order
from commands.check.measure.pace import Pace
from commands.check.measure.questions import exchange_name, may_delete_key, may_order
from commands.check.measure.rows import skipped
from commands.check.measure.steps import DELETION, Step, deletion_step, reading_steps, take
from commands.check.measure.table import Header, Table
from commands.check.redis_server import remembered_ban
from commands.clients.redis_reading import reading
from commands.console.progress import patience
from commands.console.questions import Ask
from exchange.errors import ExchangeError
from exchange.signing import Signer
from settings import Settings

_ORDER = "an order of the least size and its close"
#: Measured with where no symbol is named: every exchange of Binance's has it.
_USUAL_SYMBOL = "BTCUSDT"
_INTERRUPTED = 130
_NO = "the answer to the question was no"
_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class MeasureOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Options of `check --measure`, as the command line gives them."""

    as_json: bool = False
    delete_key: bool = False
    order_symbol: str | None = None


def measure(
    environ: Mapping[str, str], options: MeasureOptions, *, ask: Ask | None, pace: Pace | None = None
) -> int:
    """Measure and print the table. Raises SettingsError.

    `ask` puts a question to a person; None: there is none to ask. Exit code 1: a measurement could not be
    made, which the table names. 130: interrupted; the table has what was measured until then.
    """
    own = settings.load(environ).settings
    credentials = own.require_credentials()
    key_kind = Signer(credentials.api_key.reveal(), credentials.api_secret.reveal()).kind
    with reading(environ) as redis:
        banned_until_ms = remembered_ban(redis)
    session = _Session(own, options, ask, pace or Pace(), banned_until_ms)
    header = Header(exchange_name(own), key_kind, time.time_ns() // 1_000_000)
    trio.run(session.run)
    print(session.table.json(header) if options.as_json else session.table.markdown(header))
    return _INTERRUPTED if session.is_interrupted else session.table.exit_code


class _Session(msgspec.Struct):
    """Asks its questions first; then measures, until all is measured or a signal comes."""

    settings: Settings
    options: MeasureOptions
    ask: Ask | None
    pace: Pace
    banned_until_ms: int | None
    table: Table = msgspec.field(default_factory=Table)
    is_interrupted: bool = False

    async def run(self) -> None:
        """Measure into `table`."""
        own, pace = self.settings, self.pace
        access = ExchangeAccess(own, pace, banned_until_ms=self.banned_until_ms)
        async with aclosing(access):
            # Nothing else runs at that time, and an interrupt ends the command at once.
            plan = await self._planned(access)
            # A Ctrl-C that trio keeps for the next checkpoint must not wait behind a question.
            await trio.lowlevel.checkpoint()
            deletes = may_delete_key(self.ask, own, by_option=self.options.delete_key)
            steps = reading_steps(access, self.table, pace, self.options.order_symbol or _USUAL_SYMBOL)
            if plan is not None:
                steps.append(Step(_ORDER, MeasuredOrder(access, plan, self.table, pace).run))
            if deletes:
                steps.append(deletion_step(access, self.table, pace))
            with patience(f"measuring at {own.binance_rest_url}", Console(stderr=True), pace.lasts_sec):
                await self._take(steps)
        if not deletes and not self.is_interrupted:
            why = "no terminal to ask at, and no --delete-key" if self.ask is None else _NO
            self.table.add(skipped(DELETION, why))

    async def _planned(self, access: ExchangeAccess) -> OrderPlan | None:
        """Plan the order that was asked for, if there is one and a person agrees to it."""
        if self.options.order_symbol is None:
            return None
        if self.ask is None:
            self.table.not_measured(_ORDER, "no order without a terminal to ask at")
            return None
        try:
            await measure_clock(access, self.pace)
            plan = await plan_order(access, self.options.order_symbol)
        except (OrderImpossibleError, ExchangeError) as error:
            self.table.not_measured(_ORDER, str(error))
            return None
        await trio.lowlevel.checkpoint()
        if may_order(self.ask, self.settings, plan):
            return plan
        self.table.add(skipped(_ORDER, _NO))
        return None

    async def _take(self, steps: list[Step]) -> None:
        """Take the steps until they are done, or a signal comes."""
        async with trio.open_nursery() as nursery:
            if threading.current_thread() is threading.main_thread():
                await nursery.start(self._stop_on_signal, nursery.cancel_scope)
            await take(steps, self.table)
            nursery.cancel_scope.cancel()

    async def _stop_on_signal(self, scope: trio.CancelScope, *, task_status: trio.TaskStatus[None]) -> None:
        with trio.open_signal_receiver(*_STOPPING) as signals:
            task_status.started()
            async for _ in signals:
                self.is_interrupted = True
                scope.cancel()
