"""The measurements as steps, each of which may fail without the others."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

import msgspec

from brain.error_groups import first_error
from commands.check.measure.access import ExchangeAccess
from commands.check.measure.clocks import measure_clock
from commands.check.measure.listen_keys import measure_deletion, measure_pings, measure_unknown_key
from commands.check.measure.mark_prices import measure_mark_prices
from commands.check.measure.pace import Pace
from commands.check.measure.positions import measure_positions
from commands.check.measure.rows import Row
from commands.check.measure.table import Table
from commands.check.measure.weights import QUESTIONS, measure_weight
from exchange.errors import ExchangeError, RateLimited
from exchange.trouble import until_utc

DELETION = "DELETE of the listen key"


class Step(msgspec.Struct, frozen=True):
    """A measurement that adds its rows to the table; `name` is the row that stands for it where it fails."""

    name: str
    run: Callable[[], Awaitable[None]]


def reading_steps(access: ExchangeAccess, table: Table, pace: Pace, symbol: str) -> list[Step]:
    """Return the steps that change nothing, the clock first; `symbol` is asked for where one is needed."""

    async def weights() -> None:
        for question in QUESTIONS:
            table.add(await measure_weight(access, question, symbol))

    return [
        Step("the exchange's clock", _adding(table, partial(measure_clock, access, pace))),
        Step("weights", weights),
        Step("rows of `positionRisk`", _adding(table, partial(measure_positions, access))),
        Step("mark prices", _adding(table, partial(measure_mark_prices, access, pace))),
        Step("pings on `/private`", _adding(table, partial(measure_pings, access, pace))),
        Step("a made-up listen key", _adding(table, partial(measure_unknown_key, access, pace))),
    ]


def deletion_step(access: ExchangeAccess, table: Table, pace: Pace) -> Step:
    """Return the step that deletes the account's listen key."""
    return Step(DELETION, _adding(table, partial(measure_deletion, access, pace)))


async def take(steps: list[Step], table: Table) -> None:
    """Take the steps; stop at the first ban, and where the exchange does not answer the first one."""
    for number, step in enumerate(steps):
        why_stop = await _taken(step, table, is_first=number == 0)
        if why_stop is not None:
            for left in steps[number + 1 :]:
                table.not_measured(left.name, why_stop)
            return


async def _taken(step: Step, table: Table, *, is_first: bool) -> str | None:
    """Take a step. Returns why no further one may be taken, or None."""
    error: BaseException | None = None
    try:
        await step.run()
    except* ExchangeError as group:
        error = first_error(group)
    if error is None:
        return None
    table.not_measured(step.name, str(error))
    if isinstance(error, RateLimited):
        return f"not asked: requests stopped at the ban, which lasts {until_utc(error.until)}"
    return "not asked: the exchange does not answer" if is_first else None


def _adding(table: Table, rows: Callable[[], Awaitable[list[Row]]]) -> Callable[[], Awaitable[None]]:
    async def run() -> None:
        table.add(*await rows())

    return run
