"""Frames of `!markPrice@arr@1s`: how many, how large, and the market (`st`) of each row.

Source: Binance USDⓈ-M Futures, "Mark Price Stream for All market", and the change log on the merger of the
matching engines (2026-06-24 … 30).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import trio

from brain.error_groups import first_error
from commands.check.measure.access import ExchangeAccess
from commands.check.measure.pace import Pace
from commands.check.measure.raw_json import RawRow, rows_of
from commands.check.measure.rows import Row, certain, compared, likely, measured
from exchange.errors import ExchangeError, ExchangeUnavailable

_STREAM = "`!markPrice@arr@1s`"
_USD_M, _COIN_M = "1", "2"
_NAMES_SHOWN = 5


async def measure_mark_prices(access: ExchangeAccess, pace: Pace) -> list[Row]:
    """Listen for a while. Raises ExchangeUnavailable where no frame comes."""
    frames: list[str | bytes] = []
    error: BaseException | None = None
    try:
        async with trio.open_nursery() as nursery:
            stream = await access.market_streams.connect(nursery)
            try:
                with trio.move_on_after(pace.mark_prices_sec):
                    while True:
                        frames.append((await stream.receive_raw())[0])
            finally:
                await stream.aclose()
                nursery.cancel_scope.cancel()
    except* ExchangeError as group:
        error = first_error(group)
    if not frames:
        raise ExchangeUnavailable(str(error or f"no mark price within {pace.mark_prices_sec:g} s"))
    return mark_price_rows([rows_of(frame) for frame in frames], pace.mark_prices_sec)


def mark_price_rows(frames: Sequence[tuple[RawRow, ...]], seconds: float) -> list[Row]:
    """Say what the frames of so many seconds hold."""
    sizes = sorted(len(frame) for frame in frames)
    every = [row for frame in frames for row in frame]
    markets = Counter(row.text("st") for row in every)
    names = sorted({row.plain("s") for row in every if row.plain("st") == _COIN_M})
    usd_m = {row.plain("s") for row in every if row.plain("st") == _USD_M}
    zeros = len({row.plain("s") for row in every if row.number("p") == 0})
    shown = ", ".join(f"`st` {value}: {count} rows" for value, count in sorted(markets.items()))
    coin_m = ", ".join(names[:_NAMES_SHOWN]) + (", …" if len(names) > _NAMES_SHOWN else "")
    return [
        measured(
            f"frames of {_STREAM}",
            f"{len(frames)} in {seconds:g} s, {sizes[0]} to {sizes[-1]} rows each",
            likely("one a second with every symbol; some symbols in a frame of their own"),
        ),
        compared(
            f"`st` of its rows ({len(usd_m)} symbols with 1, {len(names)} with 2)",
            shown,
            certain("1 USDⓈ-M, 2 COIN-M, since 2026-06"),
            agrees=set(markets) <= {_USD_M, _COIN_M},
        ),
        compared(
            "rows of COIN-M in it",
            f"{len(names)} symbols: {coin_m}" if names else "none",
            likely("both markets are in the array"),
            agrees=bool(names),
        ),
        measured("symbols with a mark price of 0", str(zeros)),
    ]
