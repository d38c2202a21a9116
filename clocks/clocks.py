"""Three clocks: this host's, Redis's and the exchange's, each within the bounds that are known.

All comparisons between times of two clocks use `Clocks`. docs/architecture.md ("Clocks") lists which clock
stamps each time, and what compares it.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from brain.moment import Moment
from clock import Clock
from clocks.clock_offset import ClockOffset
from clocks.redis_clock import RedisClock

#: Offset from which the operator is warned (seconds).
NOTICED_SEC = 1.0
#: Offset from which the service is not ready (seconds): its own dates mislead other services.
HARMFUL_SEC = 3.0
#: After a limit was exceeded, the offset must be smaller by so much to end the alarm (seconds).
_HYSTERESIS_SEC = 0.25
#: An id that is less ahead of Redis's clock is the result of a small correction of that clock (milliseconds).
_AHEAD_NOTICED_MS = 1_000


class ShowsRedisTime(Protocol):
    """Redis's clock (epoch ms) as a store shows it."""

    async def redis_now_ms(self) -> int: ...


class ShowsExchangeTime(Protocol):
    """The exchange's clock as its server time shows it (`exchange.protocol.Exchange`)."""

    def exchange_ms(self, at: Moment) -> int: ...

    def exchange_ms_at_least(self, at: Moment) -> int | None: ...

    def exchange_ms_at_most(self, at: Moment) -> int | None: ...


class Offset(NamedTuple):
    """Lead of a clock over another: `least_sec` at least and `most_sec` at most (negative: behind)."""

    least_sec: float
    most_sec: float

    @property
    def middle_sec(self) -> float:
        """Return the best single estimate."""
        return (self.least_sec + self.most_sec) / 2

    @property
    def surely_sec(self) -> float:
        """Return the smallest distance between the clocks within the bounds."""
        return max(self.least_sec, -self.most_sec, 0.0)

    @property
    def perhaps_sec(self) -> float:
        """Return the largest distance between the clocks within the bounds."""
        return max(-self.least_sec, self.most_sec)


class Clocks:
    """This host's clock, and bounds of the two others. Made once; outlives all actors.

    `redis` is Redis's clock, `exchange` the bounds of the exchange's.
    """

    def __init__(self, host: Clock, exchange: ShowsExchangeTime | None = None) -> None:
        """`exchange` None: its clock is unknown."""
        self._host = host
        self.redis = RedisClock()
        self.exchange = (
            ClockOffset(lambda _: None, lambda _: None)
            if exchange is None
            else ClockOffset(exchange.exchange_ms_at_least, exchange.exchange_ms_at_most)
        )
        self._exchange_time = exchange
        self._beyond = {NOTICED_SEC: False, HARMFUL_SEC: False}
        self._newest_id_ms: dict[str, int] = {}

    def now(self) -> Moment:
        """Return this host's two clocks."""
        return self._host.now()

    def exchange_ms(self, at: Moment) -> int:
        """Return the exchange's clock at `at` (epoch ms, best estimate); this host's while it is unknown."""
        return at.wall_ms if self._exchange_time is None else self._exchange_time.exchange_ms(at)

    def exchange_ms_at_least(self, at: Moment) -> int:
        """Return the least that the exchange's clock can show at `at` (epoch ms); unknown: this host's."""
        lead_ms = self.exchange.at_least_ms(at)
        return self.exchange_ms(at) if lead_ms is None else at.wall_ms + lead_ms

    def redis_now_ms(self) -> int:
        """Return Redis's clock now (epoch ms), or up to one round trip less. LookupError until known."""
        return self.redis.now_ms(self.now())

    async def ask_redis(self, store: ShowsRedisTime) -> int:
        """Ask Redis for its clock (epoch ms), and apply the answer. Raises as the store does."""
        sent = self.now()
        redis_ms = await store.redis_now_ms()
        self.redis.observe(redis_ms, sent, self.now())
        return redis_ms

    def redis_offset(self) -> Offset | None:
        """Return how far Redis's clock is ahead of this host's wall clock; None until known."""
        if not self.redis.known:
            return None
        now = self.now()
        least_ms, most_ms = self.redis.now_ms(now), self.redis.at_most_ms(now)
        return Offset((least_ms - now.wall_ms) / 1000, (most_ms - now.wall_ms) / 1000)

    def redis_apart(self, limit_sec: float) -> str | None:
        """Describe the offset between this host's clock and Redis's if it exceeds `limit_sec`, else None.

        `limit_sec` is NOTICED_SEC or HARMFUL_SEC. It begins when both bounds exceed the limit, and ends when
        both are 0.25 s below it, so that an offset at the limit does not flap.
        """
        offset = self.redis_offset()
        if offset is None:
            return None
        if offset.surely_sec > limit_sec:
            self._beyond[limit_sec] = True
        elif offset.perhaps_sec < limit_sec - _HYSTERESIS_SEC:
            self._beyond[limit_sec] = False
        if not self._beyond[limit_sec]:
            return None
        side = "behind" if offset.middle_sec > 0 else "ahead of"
        return f"this host's clock is {abs(offset.middle_sec):.1f} s {side} Redis's"

    def saw_id(self, stream: str, id_ms: int) -> None:
        """Record `id_ms`, the newest entry id of `stream` (its name without prefix)."""
        self._newest_id_ms[stream] = id_ms

    def ids_ahead_sec(self) -> dict[str, float]:
        """Return by stream how far its newest id is ahead of Redis's clock (s), where that is over 1 s."""
        if not self.redis.known:
            return {}
        latest_ms = self.redis.at_most_ms(self.now())
        return {
            stream: (id_ms - latest_ms) / 1000
            for stream, id_ms in self._newest_id_ms.items()
            if id_ms - latest_ms > _AHEAD_NOTICED_MS
        }

    def troubles(self) -> dict[str, str]:
        """Describe faults of the clocks that change no decision: a sentence each, by subject."""
        troubles = {
            f"ids of {stream}": f"new entries of {stream} have ids {seconds:.0f} s ahead of Redis's clock: "
            "they count as published when they arrive, and as expired where they lay unread at a start"
            for stream, seconds in self.ids_ahead_sec().items()
        }
        if (apart := self.redis_apart(NOTICED_SEC)) is not None:
            troubles["Redis's clock"] = apart
        return troubles
