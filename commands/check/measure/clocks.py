"""The exchange's clock: round trip of `GET /fapi/v1/time`, and the offset of this host's clock."""

from __future__ import annotations

from statistics import median

from commands.check.measure.access import ExchangeAccess
from commands.check.measure.pace import Pace
from commands.check.measure.rows import Row, measured
from exchange import endpoints, wire
from exchange.server_time import ServerTime


async def measure_clock(access: ExchangeAccess, pace: Pace) -> list[Row]:
    """Measure with some requests; the one with the shortest round trip sets `access.server_time`."""
    trips: list[float] = []
    offset_ms = 0.0
    for _ in range(pace.clock_requests):
        answer = await access.send(endpoints.SERVER_TIME)
        server_ms = answer.body.read(wire.SERVER_TIME).server_time
        trip_sec = answer.received.monotonic_sec - answer.sent.monotonic_sec
        if not trips or trip_sec < min(trips):
            learnt = ServerTime()
            learnt.learn(answer.sent, server_ms, answer.received)
            offset_ms = learnt.exchange_ms(answer.received) - answer.received.wall_ms
            access.server_time.learn(answer.sent, server_ms, answer.received)
        trips.append(trip_sec)
    shown = f"min {_ms(min(trips))}, median {_ms(median(trips))}, max {_ms(max(trips))} ms"
    ahead = "ahead of" if offset_ms >= 0 else "behind"
    offset = f"{abs(offset_ms):.0f} ms {ahead} this host's, ± {_ms(min(trips) / 2)} ms"
    return [
        measured(f"round trip of `{endpoints.SERVER_TIME.key}`, {len(trips)} requests", shown),
        measured("the exchange's clock", offset),
    ]


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f}"
