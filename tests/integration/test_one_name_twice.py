"""Two processes that were given the same P33_INSTANCE, and one that restarts under its own."""

from __future__ import annotations

import signal

import trio

from tests.integration.http_side import status
from tests.integration.pipeline import PLANS, Pipeline, entry
from tests.integration.site import Site
from tests.integration.surroundings import SYMBOLS, is_ready, is_unready
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


async def test_of_two_processes_with_one_name_one_decides_and_stays_and_the_other_says_so(site: Site) -> None:
    async with site.daemon() as earlier, site.daemon({"P33_SHARDS": "2"}) as later:
        # Whichever of them came to Redis last has it.
        await until(lambda: "Standing back" in earlier.output + later.output, "one stands back", 15.0)
        standing, deciding = (earlier, later) if "Standing back" in earlier.output else (later, earlier)
        url = await deciding.ready()
        held_by, token = holder(site), site.redis.get(TOKEN)
        assert held_by.split("/")[1] == str(deciding.process.pid)
        standing_url = await standing.url()
        await is_unready(standing_url, "standing by", "another process of the same P33_INSTANCE", held_by)
        assert (await status(standing_url))["lease"] == {
            "held": False,
            "holder": "first",
            "namesake": held_by,
        }
        warning = next(line for line in standing.output.splitlines() if "Standing back" in line)
        assert f"/{standing.process.pid}/" in warning and held_by in warning

        for symbol in SYMBOLS:
            await site.ask(f"plan-{symbol}", entry(symbol, "20"))
        await trio.sleep(2 * AT_ONCE_SEC)
        await is_ready(lambda: url)
        assert (holder(site), site.redis.get(TOKEN)) == (held_by, token), "no process took it since"
        assert (earlier.output + later.output).count("Standing back") == 1

        deciding.process.kill()
        await is_ready(lambda: standing_url)
        await site.ask("after", entry("BTCUSDT", "0.01"))
        await site.nothing_pends(PLANS)
        assert "Actor failed" not in earlier.output + later.output


async def test_a_killed_process_that_restarts_has_its_predecessors_lease_at_once(site: Site) -> None:
    async with site.daemon() as killed:
        await killed.ready()
        before = holder(site)
        # It must not expire by itself.
        killed.process.send_signal(signal.SIGSTOP)
        site.redis.pexpire(LEASE, 60_000)
        killed.process.send_signal(signal.SIGKILL)
        async with site.daemon() as again:
            await again.url()
            await until(lambda: holder(site) != before, "the lease is taken", AT_ONCE_SEC)
            await again.ready()
            assert "Standing back" not in again.output
