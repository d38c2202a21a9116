from __future__ import annotations

import math

import pytest

from brain.durability import Durability
from channels import Lease
from monitoring.metrics.families import lines_dropped, service_gauges
from tests.monitoring.status_rig import NOON_MS, StatusRig
from tests.monitoring.test_metric_registry import values


@pytest.fixture
def rig() -> StatusRig:
    made = StatusRig()
    for gauge in service_gauges(
        ready=lambda: made.source.readiness().ready,
        lease=made.lease,
        ban_sec=lambda: 12.5,
        unreadable=lambda: made.unreadable.count,
        durability=made.durability,
        clocks=made.clocks,
        started=made.clock.now(),
        unknown_executions=made.source.unknown_count,
    ):
        made.registry.show(gauge)
    return made


async def test_a_scrape_tells_what_is_true_at_that_moment(rig: StatusRig) -> None:
    seen = await values(rig)
    assert seen["p33_ready",] == 1
    assert seen["p33_lease_held",] == 1
    assert seen["p33_exchange_ban_seconds",] == 12.5
    assert seen["p33_start_time_seconds",] == NOON_MS / 1000
    rig.lease.send(Lease(None, "another"))
    seen = await values(rig)
    assert seen["p33_ready",] == 0
    assert seen["p33_lease_held",] == 0


async def test_a_symbol_that_cannot_be_read_twice_over_counts_once(rig: StatusRig) -> None:
    assert (await values(rig))["p33_unreadable_symbols",] == 0
    rig.book.set_unreadable("ABCUSDT", "no updateTime")
    rig.unreadable_rules.send({"ABCUSDT": "no filters", "XYZUSDT": "no filters"})
    seen = await values(rig)
    assert seen["p33_unreadable_symbols",] == 2
    assert seen["p33_ready",] == 1


async def test_the_durability_of_redis_is_shown_and_nothing_while_it_is_silent(
    rig: StatusRig,
) -> None:
    names = ("p33_redis_evicted_keys", "p33_redis_may_evict", "p33_redis_append_only")
    seen = await values(rig)
    assert all(math.isnan(seen[name,]) for name in names)
    rig.durability.send(Durability(True, "allkeys-lru", 12))
    seen = await values(rig)
    assert [seen[name,] for name in names] == [12, 1, 1]
    rig.durability.send(Durability(False, "noeviction", 12))
    seen = await values(rig)
    assert [seen[name,] for name in names] == [12, 0, 0]


async def test_a_name_is_shown_once(rig: StatusRig) -> None:
    (first, *_) = service_gauges(
        ready=lambda: True,
        lease=rig.lease,
        ban_sec=lambda: 0,
        unreadable=lambda: 0,
        durability=rig.durability,
        clocks=rig.clocks,
        started=rig.clock.now(),
        unknown_executions=lambda: 0,
    )
    with pytest.raises(ValueError, match=first.name):
        rig.registry.show(first)


async def test_lines_lost_by_the_log_are_a_counter_read_at_each_scrape(rig: StatusRig) -> None:
    lost = [0]
    total = lines_dropped(lambda: lost[0])
    rig.registry.show_total(total)
    assert (await values(rig))["p33_log_lines_dropped_total",] == 0
    lost[0] = 530
    assert (await values(rig))["p33_log_lines_dropped_total",] == 530
    with pytest.raises(ValueError, match="p33_log_lines_dropped"):
        rig.registry.show_total(total)
