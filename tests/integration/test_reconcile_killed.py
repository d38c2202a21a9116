"""SIGKILL in the middle of cases, and a standby that takes over: each drift has one story."""

from __future__ import annotations

import os
import re
import signal
from collections import Counter
from contextlib import AsyncExitStack
from random import Random

import trio

from tests.integration.governed_plans import asked
from tests.integration.reconciled import PATIENCE_SEC, Reconciled, named
from tests.integration.surroundings import SYMBOLS
from tests.integration.test_two_instances import is_warm_standby
from tests.integration.waiting import until

#: A few in the suite; ten with P33_TEST_RECONCILE_KILLS=10.
KILLS = int(os.environ.get("P33_TEST_RECONCILE_KILLS", "2"))
SEED = 1
OURS, THEIRS = SYMBOLS[1:6], SYMBOLS[6:8]
USER_TRADES = "/fapi/v1/userTrades"
#: Looks are counted by their outcome; a series of a role that does nothing stays at 0.
_LOOKS = re.compile(r"^p34_evidence_lookups_total\S* (\S+)$", re.MULTILINE)
SETTINGS = {"P34_WEIGHT_PER_MIN": "600", "P33_WEIGHT_BUDGET_PER_MIN": "2400"}


async def looks(url: str) -> float:
    return sum(map(float, _LOOKS.findall((await asked(url, "/metrics")).text)))


def assert_one_story(site: Reconciled, symbol: str, last: str) -> None:
    """Check that what is said once was said once, by whatever process."""
    said = Counter(site.told(symbol))
    assert (said["HOLD_SET"], said[last]) == (1, 1), site.told(symbol)
    assert said.keys() <= {"HOLD_SET", "EVIDENCE_INCOMPLETE", "ORPHAN_ORDER", last}, site.told(symbol)


async def test_kills_in_the_middle_of_cases_book_nothing_twice_and_leave_no_hold(
    reconciled: Reconciled,
) -> None:
    site, faults, random = reconciled, reconciled.exchange.faults, Random(SEED)  # noqa: S311 - repeatable
    faults.rest_latency_ms = 200.0  # kills find looks under way
    orders = {}
    for life in range(KILLS):
        async with site.daemon(SETTINGS) as daemon:
            if life == 0:
                orders = {symbol: site.lost(symbol, "10") for symbol in OURS}
                orders |= {symbol: site.moved(symbol, "10") for symbol in THEIRS}
                await until(lambda: site.held_by(OURS[-1]), "a hold", PATIENCE_SEC)
            await trio.sleep(random.uniform(0.0, 0.5))
            assert await daemon.stop(signal.SIGKILL) == -signal.SIGKILL
    async with site.daemon(SETTINGS):
        for symbol in OURS:
            repair = await site.repaired(symbol)
            assert named(repair) == [(orders[symbol].client_order_id, "own_orphan", "10")]
            assert_one_story(site, symbol, "AUTO_REPAIR")
        for symbol in THEIRS:
            await site.needs_person(symbol)
            assert_one_story(site, symbol, "MANUAL_REQUIRED")
            assert site.ledger_amount(symbol) == "0"
            site.accept(symbol)
            await site.released(symbol)


async def test_a_standby_does_nothing_and_goes_on_with_the_cases_of_a_leader_that_was_killed(
    reconciled: Reconciled,
) -> None:
    site, faults = reconciled, reconciled.exchange.faults
    ours, waits, later = OURS[0], THEIRS[0], THEIRS[1]
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(site.daemon(SETTINGS))
        second = await stack.enter_async_context(site.another({**SETTINGS, "P33_INSTANCE": "second"}))
        second_url = await second.url()
        await is_warm_standby(second, "first", PATIENCE_SEC)
        site.moved(waits, "10")
        await site.needs_person(waits)
        # No list of trades: both cases are in their middle.
        faults.rest_fault_paths, faults.rest_fault_rates = [USER_TRADES], {"5xx": 1.0}
        orders = {ours: site.lost(ours, "10"), later: site.moved(later, "10")}
        for symbol in orders:
            await until(
                lambda symbol=symbol: site.event(symbol, "EVIDENCE_INCOMPLETE"),  # type: ignore[misc]
                f"a look at {symbol}",
                PATIENCE_SEC,
            )
        holds = {symbol: site.held_by(symbol) for symbol in (ours, waits, later)}
        assert None not in holds.values()
        assert await looks(await first.url()) > 0
        assert await looks(second_url) == 0
        assert await first.stop(signal.SIGKILL) == -signal.SIGKILL
        faults.rest_fault_rates = {}

        assert named(await site.repaired(ours)) == [(orders[ours].client_order_id, "own_orphan", "10")]
        await site.needs_person(later)
        assert await looks(second_url) > 0
        assert {symbol: site.held_by(symbol) for symbol in (waits, later)} == {
            symbol: holds[symbol] for symbol in (waits, later)
        }
        assert_one_story(site, ours, "AUTO_REPAIR")
        assert_one_story(site, waits, "MANUAL_REQUIRED")
        assert_one_story(site, later, "MANUAL_REQUIRED")
        for symbol in (waits, later):
            site.accept(symbol)
            await site.released(symbol)
