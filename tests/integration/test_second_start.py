"""The service started twice by mistake: the same settings, the same instance, the same port."""

from __future__ import annotations

import re

from tests.integration.pipeline import entry
from tests.integration.site import Site
from tests.integration.surroundings import SYMBOLS
from tests.integration.waiting import until


async def test_a_second_start_of_the_same_instance_takes_neither_port_nor_lease_from_the_first(
    site: Site,
) -> None:
    async with site.daemon() as first:
        port = (await first.ready()).rpartition(":")[2]
        lease = site.redis.get("quantum:p33:lease")
        async with site.daemon({"P33_METRICS_PORT": port}) as second:
            await until(
                lambda: second.output.count("P33_METRICS_PORT") > 3,
                "the second says that it cannot have the port",
                15,
            )
            for symbol in SYMBOLS:
                answer = await site.ask(f"plan-{symbol}", entry(symbol, "20"))
                assert answer["issued_by"].endswith(" first")
            assert site.redis.get("quantum:p33:lease") == lease
            # It gives up after a while, so that its starter sees the failure.
            assert await second.ends(within_sec=60) == 1
            assert re.search(r" FATAL Giving up reason=.*presence", second.output)
            assert "Lease held=true" not in second.output
            assert first.alive
            assert site.redis.get("quantum:p33:lease") == lease
