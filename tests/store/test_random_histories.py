"""The twin equals a real Redis: any random history gives the same answers and the same content."""

from __future__ import annotations

import pytest

from tests.store.backends import MemoryBackend, RedisBackend
from tests.store.execution_histories import ExecutionHistory
from tests.store.governor_histories import GovernorHistory
from tests.store.random_histories import History
from tests.store.reconcile_histories import ReconcileHistory

_STEPS = 250
AnyHistory = History | ExecutionHistory | GovernorHistory | ReconcileHistory
_HISTORIES: tuple[type[AnyHistory], ...] = (History, ExecutionHistory, GovernorHistory, ReconcileHistory)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("history", _HISTORIES)
async def test_the_twin_answers_and_stores_what_a_real_redis_does(
    real: RedisBackend, history: type[AnyHistory], seed: int
) -> None:
    twin, model = history(MemoryBackend(), seed), history(real, seed)
    trace: list[str] = []
    for step in range(_STEPS):
        expected = await model.step()
        trace.append(expected)
        assert await twin.step() == expected, trace[-5:]
        if step % 5 == 0:
            assert twin.state() == model.state(), trace[-5:]
    assert twin.state() == model.state()
