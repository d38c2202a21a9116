"""The Governor in two instances, on a Redis that is emptied, and beside permits that another has written."""

from __future__ import annotations

import itertools
import signal
from collections import Counter
from contextlib import AsyncExitStack
from decimal import Decimal

import trio

from brain.governor.reasons import GovernorReason
from permit_gate import GOVERNOR, P33, Granted, PermitGate
from simulator import external_events
from tests.integration.daemon_process import DaemonProcess
from tests.integration.execution_load import opening
from tests.integration.governed_books import Limits
from tests.integration.governed_load import GovernedLoad
from tests.integration.governed_plans import KEYS, GovernedPlans, knows_the_account
from tests.integration.pipeline import RESULTS, full_close
from tests.integration.site import Site
from tests.integration.stopped_opens import HELD
from tests.integration.surroundings import SYMBOLS
from tests.integration.test_two_instances import is_warm_standby, lease
from tests.integration.waiting import until

PATIENCE_SEC = 60.0
DRAINED_WITHIN_SEC = 180.0
HANDOVERS = (signal.SIGTERM, signal.SIGKILL, signal.SIGSTOP)
LIMITS = Limits(
    per_hour=60, per_5min=40, positions=9, total_notional=Decimal(600), permit_ttl_sec=3, grace_sec=22
)
GOVERNED = {"P33_GOVERNOR": "on", "P33_PLAN_MAX_AGE_SEC": "60", **LIMITS.settings()}


async def test_two_instances_that_hand_over_the_lease_judge_each_plan_once(site: Site) -> None:
    """One is asked to stop, one is killed, and one is stopped in the middle of its work and goes on later."""
    load = GovernedLoad(site, site.exchange, 2, limits=LIMITS, plans_per_sec=60)
    async with AsyncExitStack() as processes, trio.open_nursery() as nursery:

        async def started(instance: str) -> DaemonProcess:
            environ = {**GOVERNED, "P33_INSTANCE": instance}
            return await processes.enter_async_context(site.daemon(environ))

        active, stopped = await started("first"), list[DaemonProcess]()
        await load.governor_reads(await active.ready())
        nursery.start_soon(load.run)
        for number, (how, name) in enumerate(zip(HANDOVERS, ("second", "third", "fourth"), strict=True)):
            await load.more_is_granted(20, PATIENCE_SEC)
            standby = await started(name)
            await is_warm_standby(standby, behind=lease(site)[1], within_sec=PATIENCE_SEC)
            active.process.send_signal(how)
            await until(lambda: load.books.issuers[-1:] == [name], f"{name} judges", PATIENCE_SEC)  # noqa: B023
            stopped.append(active)
            active = standby
            await load.more_is_granted(20, PATIENCE_SEC)
            assert number or await stopped[0].ends(PATIENCE_SEC) == 0
        stopped[-1].process.send_signal(signal.SIGCONT)
        await load.more_is_granted(20, PATIENCE_SEC)
        await load.drained(DRAINED_WITHIN_SEC)
        assert active.alive and "Actor failed" not in active.output, active.output[-2000:]
        assert stopped[-1].alive and lease(site)[1] == "fourth"
    judges = Counter(load.books.issuers)
    assert judges.keys() == {"first", "second", "third", "fourth"}, judges
    assert list(dict.fromkeys(load.books.issuers)) == ["first", "second", "third", "fourth"]
    assert len(list(itertools.groupby(load.books.issuers))) == 4, "one judged behind its successor"
    print(judges, load.assert_counts_agree())


async def test_an_emptied_redis_lets_opens_wait_and_closes_go_on_and_every_limit_hold(site: Site) -> None:
    """Positions count as before; what was granted and is not filled is given up once permits are over."""
    for symbol in HELD[:2]:
        quantity = Decimal(opening(site.exchange.symbol(symbol))["qty"])
        external_events.move_position(site.exchange, symbol, target=quantity)
    settings = {"P33_GOVERNOR": "on", "GOV_MAX_OPEN_POSITIONS": "4", "P33_PERMIT_TTL": "3"}
    async with site.daemon(settings) as daemon:
        await knows_the_account(await daemon.ready())
        plans = GovernedPlans(site)

        async def reason(plan_id: str, symbol: str, *, closes: bool = False) -> str:
            fields = full_close(symbol) if closes else opening(site.exchange.symbol(symbol))
            found, _ = await plans.judged(plan_id, fields)
            assert (plans.permit(plan_id) is not None) is found.startswith("governor_granted")
            return found

        assert await reason("before", SYMBOLS[5]) == "governor_granted"
        site.redis.flushall()
        waited = list[str]()
        for number in itertools.count():
            waited.append(await reason(f"open-{number}", SYMBOLS[6]))
            closed = await reason(f"close-{number}", HELD[number % 2], closes=True)
            assert closed == "governor_granted_close"
            if waited[-1] != "recovering":
                break
            await trio.sleep(0.1)
        assert waited[0] == "recovering" and len(waited) > 10, waited
        assert waited[-1] == "governor_granted", waited[-1]
        # Two positions and the grant of the end: one symbol more.
        left = SYMBOLS[7:15]
        ids = {f"after-{symbol}": symbol for symbol in left}
        for plan_id, symbol in ids.items():
            site.publish_plan(plan_id, opening(site.exchange.symbol(symbol)))
        reasons = Counter([(await plans.judgement(plan_id, 0))[0] for plan_id in ids])
        assert reasons == {"governor_granted": 1, "max_positions_reached": len(left) - 1}
        assert daemon.alive and "Actor failed" not in daemon.output


async def test_a_permit_that_another_has_written_is_accepted_by_the_gate_and_the_executor(site: Site) -> None:
    """It says `granted` and nothing else, as an operator writes it by hand."""
    async with site.daemon({"P33_EXECUTOR": "on"}) as daemon:
        await daemon.ready()
        await until(lambda: site.snapshot(SYMBOLS[0]).get("mark_price"), "a mark price", 10)
        site.redis.set(KEYS.permit("by-hand"), '{"granted":true}', ex=60)
        site.publish_plan("by-hand", opening(site.exchange.symbol(SYMBOLS[0])))
        await until(lambda: site.entries(RESULTS), "the result")
        ((_, result),) = site.entries(RESULTS)
        assert (result["plan_id"], result["error"], result["order_status"]) == ("by-hand", "", "FILLED")
    async with site.daemon({"P33_GOVERNOR": "on", "GOV_MAX_OPEN_POSITIONS": "1"}) as daemon:
        await knows_the_account(await daemon.ready())
        refused, _ = await GovernedPlans(site).judged("for-gate", opening(site.exchange.symbol(SYMBOLS[1])))
        assert refused == GovernorReason.MAX_POSITIONS_REACHED
        site.redis.set(KEYS.permit("for-gate"), '{"granted":true}', ex=60)
        await site.permit("for-gate")
        with PermitGate(site.redis_url) as gate:
            verdict = gate.acquire("for-gate", SYMBOLS[1], [GOVERNOR, P33])
        assert isinstance(verdict, Granted), verdict
        assert not site.redis.exists(KEYS.permit("for-gate"), "quantum:permit:p33:for-gate")
