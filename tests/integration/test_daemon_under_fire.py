"""The daemon stopped and continued under load, for longer than its lease lives and for shorter."""

from __future__ import annotations

import signal

import pytest
import trio

from simulator import RunningSimulator
from tests.integration.under_fire import under_fire

LEASE = "quantum:p33:lease"


@pytest.mark.parametrize(
    ("stopped_sec", "times", "loses_lease"), [(0.4, 5, False), (3.0, 2, True), (11.0, 1, True)]
)
async def test_a_daemon_that_was_stopped_goes_on_as_if_it_had_waited(
    simulator: RunningSimulator, stopped_sec: float, times: int, loses_lease: bool
) -> None:
    """The last of them is longer than an actor may work without progress, and than plans live."""
    async with under_fire(simulator, seed=21) as fire:
        process, tokens = fire.daemon.process, [fire.pipeline.redis.get(LEASE)]
        for _ in range(times):
            process.send_signal(signal.SIGSTOP)
            await trio.sleep(stopped_sec)
            process.send_signal(signal.SIGCONT)
            await fire.recovers()
            tokens.append(fire.pipeline.redis.get(LEASE))
        assert len(set(tokens)) == (times + 1 if loses_lease else 1), tokens
        await fire.burns_out()
        fire.load.assert_exactly_once()
