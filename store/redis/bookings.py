"""Bookings of results on a real Redis."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from brain.identifiers import FencingToken, OrderId, PlanId, Symbol
from store.errors import StoreError, unless_refused
from store.keys import GROUP, Keys
from store.records import BookingKeys, BookingState, ResultCommit
from store.redis.replies import read_booked, read_booking_state, read_each_booked
from store.redis.scripts import ScriptRunner

#: Redis serves no other client while a script books so many, 1-2 ms.
_RESULTS_A_SCRIPT = 64
_pack = msgspec.msgpack.encode


class RedisBookings:
    """Part of `store.redis.store.RedisStore`."""

    _keys: Keys
    _scripts: ScriptRunner

    async def booking_state(
        self, symbol: Symbol, plan_id: PlanId, order_ids: Sequence[OrderId]
    ) -> BookingState:
        wanted = BookingKeys(symbol, plan_id, tuple(order_ids))
        answers = await self._scripts.run("booking_states", self._keys.prefix, _pack((wanted,)))
        return read_booking_state(wanted, answers[0])

    async def booking_states(self, wanted: Sequence[BookingKeys]) -> list[BookingState | None]:
        if not wanted:
            return []
        answers = await self._scripts.run("booking_states", self._keys.prefix, _pack(wanted))
        return [
            unless_refused(read_booking_state, keys, answer)
            for keys, answer in zip(wanted, answers, strict=True)
        ]

    async def commit_result(self, fence: FencingToken, commit: ResultCommit) -> int | None:
        answers = await self._scripts.run("commit_results", self._keys.prefix, fence, GROUP, _pack((commit,)))
        return read_booked(answers[0])

    async def commit_results(self, fence: FencingToken, commits: Sequence[ResultCommit]) -> list[int | None]:
        parts = [
            commits[first : first + _RESULTS_A_SCRIPT] for first in range(0, len(commits), _RESULTS_A_SCRIPT)
        ]
        calls = [(self._keys.prefix, fence, GROUP, _pack(part)) for part in parts]
        answers = await self._scripts.run_each("commit_results", calls)
        return [
            booked
            for part, answer in zip(parts, answers, strict=True)
            for booked in ([None] * len(part) if isinstance(answer, StoreError) else read_each_booked(answer))
        ]
