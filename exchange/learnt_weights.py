"""Request weight of each endpoint, measured by the growth of the used-weight header.

Binance's documents contradict each other (positionRisk v2: 5 or 10), so the header decides.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import msgspec

from brain.moment import Moment
from exchange.endpoints import Endpoint

#: Growths kept: requests of others at this address make a growth too large, so the smallest of the last ones
#: is nearest to the weight. After as many requests an endpoint that became cheaper is known as such.
_REMEMBERED = 3
#: A growth of more than so many times the documented weight comes from other requests.
_MOST_TIMES_DOCUMENTED = 4


class _Used(msgspec.Struct, frozen=True):
    minute: int
    weight: int


class LearntWeights:
    """Weights by comparison of the used-weight header before and after each request that ran alone."""

    def __init__(self, exchange_ms: Callable[[Moment], int]) -> None:
        self._exchange_ms = exchange_ms
        self._growths: dict[str, deque[int]] = {}
        self._in_flight = 0
        self._started = 0
        self._used: _Used | None = None

    def of(self, endpoint: Endpoint) -> int:
        """Return the request weight of `endpoint`: never less than documented."""
        return max(endpoint.weight, min(self._growths.get(endpoint.key, ()), default=0))

    def sending(self) -> int:
        """Record that a request is sent. Returns the token for `done`."""
        self._in_flight += 1
        self._started += 1
        return self._started if self._in_flight == 1 else 0

    def done(self, endpoint: Endpoint, flight: int, received: Moment, used: int | None) -> None:
        """Record that the request ended; `used`: the header of its answer, None without one."""
        self._in_flight -= 1
        before, self._used = self._used, None
        if used is None or flight != self._started:
            return
        now = _Used(self._exchange_ms(received) // 60_000, used)
        self._used = now
        if before is None or before.minute != now.minute:
            return
        growth = now.weight - before.weight
        if 0 < growth <= endpoint.weight * _MOST_TIMES_DOCUMENTED:
            self._growths.setdefault(endpoint.key, deque(maxlen=_REMEMBERED)).append(growth)
