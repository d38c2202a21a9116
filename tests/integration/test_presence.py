"""Only who has the HTTP port may hold the lease: two processes of one instance would take it in turns."""

from __future__ import annotations

import socket
from contextlib import closing

from commands.demo.children import free_port
from tests.integration.pipeline import entry
from tests.integration.site import Site
from tests.integration.surroundings import is_ready
from tests.integration.waiting import until

LEASE = "quantum:p33:lease"


async def test_a_lost_port_costs_the_lease_and_both_come_back_together(site: Site) -> None:
    port = free_port()
    async with site.service(P33_METRICS_PORT=str(port)) as service:
        first = site.redis.get(LEASE)
        assert first is not None
        service.strike("metrics")
        await until(lambda: service.actor("metrics").state == "backing_off", "the port is free")
        with closing(socket.create_server(("127.0.0.1", port))):
            await until(lambda: site.redis.get(LEASE) is None, "the lease is given up", within_sec=15)
            assert service.actor("lease_holder").restarts > 0
            failed = service.actor("metrics").last_reason
            assert failed is not None and "P33_METRICS_PORT" in failed
            site.publish_plan("during", entry("BTCUSDT", "0.01"))
            # The others wait for the lease, which is no failure of theirs.
            assert service.restarts().keys() == {"metrics", "lease_holder"}
        await is_ready(lambda: service.url, within_sec=20)
        assert site.redis.get(LEASE) not in (None, first)
        await site.decided_once(["during"])


async def test_a_failure_of_metrics_that_passes_does_not_cost_the_lease(site: Site) -> None:
    async with site.service() as service:
        lease = site.redis.get(LEASE)
        for number in range(1, 6):
            service.strike("metrics")
            await until(lambda n=number: service.actor("lease_holder").restarts == n, "both are back")  # type: ignore[misc]
            await until(lambda: service.actor("lease_holder").state == "running", "it holds the lease")
            await until(lambda: service.actor("metrics").state == "running", "it listens")
        await is_ready(lambda: service.url)
        assert site.redis.get(LEASE) == lease
