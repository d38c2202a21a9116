"""Redis away and back: not ready, nothing issued, no exit; then decisions go on, none lost, none doubled."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal

import msgspec
import pytest

from commands.clients.embedded_redis import PrivateRedis, private_redis_server
from simulator import RunningSimulator, external_events
from tests.integration.daemon_process import DaemonProcess
from tests.integration.pipeline import AUDIT, PLANS, RESULTS, entry, full_close
from tests.integration.site import Site
from tests.integration.surroundings import SYMBOLS, is_ready, is_unready
from tests.integration.waiting import until

#: Plans stay young for longer than the outage lasts.
PATIENT = {"P33_PLAN_MAX_AGE_SEC": "60"}
HELD = SYMBOLS[:8]
FLAT = SYMBOLS[8:]


class Outage(msgspec.Struct, frozen=True):
    """A daemon that is ready, with a Redis that can go away and positions in half of the symbols."""

    server: PrivateRedis
    site: Site
    daemon: DaemonProcess
    url: str

    async def begins(self, how: str = "SIGKILL") -> None:
        """End Redis, and wait until the daemon names it."""
        await (self.server.kill() if how == "SIGKILL" else self.server.stop())
        await is_unready(self.url, "Redis")


@asynccontextmanager
async def outage(simulator: RunningSimulator, *, append_only: bool) -> AsyncIterator[Outage]:
    for symbol in HELD:
        external_events.move_position(simulator.exchange, symbol, target=Decimal(-20))
    async with private_redis_server(append_only=append_only) as server:
        site = Site(server.url, simulator)
        async with site.daemon(PATIENT) as daemon:
            yield Outage(server, site, daemon, await daemon.ready())


@pytest.mark.parametrize("how", ["SIGKILL", "SIGTERM"])
async def test_a_redis_that_goes_and_comes_back_costs_no_decision_and_doubles_none(
    simulator: RunningSimulator, how: str
) -> None:
    async with outage(simulator, append_only=True) as away:
        site, url = away.site, away.url
        first = await site.ask("first", full_close(HELD[0]))
        assert (first["reason"], first["safe_close_qty"]) == ("sanity_checks_passed", 20)
        await site.nothing_pends(PLANS)

        # Cut off in the middle of its work: some of these are decided, some delivered, some neither.
        for symbol in HELD[1:]:
            site.publish_plan(f"before-{symbol}", full_close(symbol))
            site.fill(f"before-{symbol}", symbol, "BUY", "20")
        await away.begins(how)
        assert away.daemon.alive

        await away.server.start()
        for symbol in HELD:
            site.publish_plan(f"after-{symbol}", full_close(symbol))
        for symbol in FLAT:
            site.publish_plan(f"after-{symbol}", entry(symbol, "20"))
        await is_ready(lambda: url)
        published = [
            "first",
            *(f"before-{symbol}" for symbol in HELD[1:]),
            *(f"after-{symbol}" for symbol in SYMBOLS),
        ]
        await site.decided_once(published)
        await site.nothing_pends(PLANS, RESULTS)
        reasons = {plan_id: (await site.permit(plan_id))["reason"] for plan_id in published}
        assert "plan_expired" not in reasons.values()
        assert {reasons[f"after-{symbol}"] for symbol in FLAT} == {"recovering"}
        for symbol in HELD[1:]:
            await site.ledger_reaches(symbol, "0")
            assert site.ledger(symbol)["version"] == "2"
        assert away.daemon.alive
        assert "Actor failed" not in away.daemon.output


async def test_nothing_is_issued_while_redis_is_away_and_a_closing_goes_on_right_after(
    simulator: RunningSimulator,
) -> None:
    async with outage(simulator, append_only=True) as away:
        site, url = away.site, away.url
        await site.ask("before", full_close(HELD[0]))
        await away.begins()
        lines = away.daemon.output.count("P3.3 ALLOW")
        await away.server.start()
        assert [fields["plan_id"] for _, fields in site.entries(AUDIT)] == ["before"]
        await is_ready(lambda: url)
        assert away.daemon.output.count("P3.3 ALLOW") == lines
        answer = await site.ask("after", full_close(HELD[1]))
        assert answer["reason"] == "sanity_checks_passed"


async def test_a_redis_that_comes_back_empty_loses_no_plan_that_was_published_since(
    simulator: RunningSimulator,
) -> None:
    async with outage(simulator, append_only=False) as away:
        site, url = away.site, away.url
        await site.ask("before", full_close(HELD[0]))
        await away.begins()
        await away.server.start()
        for symbol in SYMBOLS:
            site.publish_plan(f"after-{symbol}", full_close(symbol))
        for symbol in SYMBOLS:
            await site.permit(f"after-{symbol}", within_sec=5)
        await until(lambda: site.ledger_amount(HELD[0]) == "-20", "the ledgers are adopted again")
        await until(lambda: all(map(site.snapshot, SYMBOLS)), "the snapshots are written again")
        answer = await site.ask("later", full_close(HELD[0]))
        assert answer["reason"] in ("sanity_checks_passed", "in_flight_permit")
        await is_ready(lambda: url)


async def test_a_frozen_redis_makes_the_service_unready_and_nothing_is_lost_when_it_goes_on(
    simulator: RunningSimulator,
) -> None:
    async with outage(simulator, append_only=False) as away:
        site, url = away.site, away.url
        site.redis.client_pause(1500)
        await is_unready(url, "Redis")
        await is_ready(lambda: url)
        answer = await site.ask("after", full_close(HELD[0]))
        assert answer["reason"] == "sanity_checks_passed"
        assert "Actor failed" not in away.daemon.output
