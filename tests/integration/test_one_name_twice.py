"""Two processes that were given the same P33_INSTANCE, and one that restarts under its own."""

from __future__ import annotations

import signal

import httpx
import trio

from simulator import RunningSimulator
from tests.integration.daemon_process import daemon_process
from tests.integration.pipeline import PLANS, Pipeline, entry
from tests.integration.surroundings import SYMBOLS, environment, is_ready, is_unready
from tests.integration.waiting import until

LEASE = "quantum:p33:lease"
TOKEN = "quantum:p33:fence"
#: Far below the lease's TTL of 2 s.
AT_ONCE_SEC = 1.0


def holder(pipeline: Pipeline) -> str:
    """Return the process that has the lease, as `host/pid/nonce`."""
    owner, _, instance = str(pipeline.redis.get(LEASE)).partition(":")
    assert instance == "first"
    return owner.partition("@")[2]


async def test_of_two_processes_with_one_name_one_decides_and_stays_and_the_other_says_so(
    redis_server: str, pipeline: Pipeline, simulator: RunningSimulator
) -> None:
    environ = environment(redis_server, simulator, {"P33_INSTANCE": "first"})
    async with daemon_process(environ) as earlier, daemon_process(environ | {"P33_SHARDS": "2"}) as later:
        # Whichever of them came to Redis last has it.
        await until(lambda: "Standing back" in earlier.output + later.output, "one stands back", 15.0)
        standing, deciding = (earlier, later) if "Standing back" in earlier.output else (later, earlier)
        url = await deciding.ready()
        held_by, token = holder(pipeline), pipeline.redis.get(TOKEN)
        assert held_by.split("/")[1] == str(deciding.process.pid)
        standing_url = await standing.url()
        await is_unready(standing_url, "standing by", "another process of the same P33_INSTANCE", held_by)
        async with httpx.AsyncClient() as client:
            status = (await client.get(f"{standing_url}/status")).json()
        assert status["lease"] == {"held": False, "holder": "first", "namesake": held_by}
        warning = next(line for line in standing.output.splitlines() if "Standing back" in line)
        assert f"/{standing.process.pid}/" in warning and held_by in warning

        for symbol in SYMBOLS:
            await pipeline.ask(f"plan-{symbol}", entry(symbol, "20"))
        await trio.sleep(2 * AT_ONCE_SEC)
        await is_ready(lambda: url)
        assert (holder(pipeline), pipeline.redis.get(TOKEN)) == (held_by, token), "no process took it since"
        assert (earlier.output + later.output).count("Standing back") == 1

        deciding.process.kill()
        await is_ready(lambda: standing_url)
        await pipeline.ask("after", entry("BTCUSDT", "0.01"))
        await pipeline.nothing_pends(PLANS)
        assert "Actor failed" not in earlier.output + later.output


async def test_a_killed_process_that_restarts_has_its_predecessors_lease_at_once(
    redis_server: str, pipeline: Pipeline, simulator: RunningSimulator
) -> None:
    environ = environment(redis_server, simulator, {"P33_INSTANCE": "first"})
    async with daemon_process(environ) as killed:
        await killed.ready()
        before = holder(pipeline)
        # It must not expire by itself.
        killed.process.send_signal(signal.SIGSTOP)
        pipeline.redis.pexpire(LEASE, 60_000)
        killed.process.send_signal(signal.SIGKILL)
        async with daemon_process(environ) as again:
            await again.url()
            await until(lambda: holder(pipeline) != before, "the lease is taken", AT_ONCE_SEC)
            await again.ready()
            assert "Standing back" not in again.output
