from __future__ import annotations

import math

import pytest

from brain.durability import Durability
from channels import Lease
from monitoring.metrics.families import lines_dropped
from tests.monitoring.status_rig import NOON_MS, StatusRig
from tests.monitoring.test_metric_registry import values


async def test_a_scrape_shows_what_is_true_at_that_moment(rig: StatusRig) -> None:
    seen = await values(rig)
    assert seen["p33_ready",] == 1
    assert seen["p33_lease_held",] == 1
    assert seen["p33_exchange_ban_seconds",] == 0
    assert seen["p33_start_time_seconds",] == NOON_MS / 1000
    rig.lease.send(Lease(None, "another"))
    rig.budget.recall_ban(NOON_MS + 12_500)
    seen = await values(rig)
    assert seen["p33_ready",] == 0
    assert seen["p33_lease_held",] == 0
    assert seen["p33_exchange_ban_seconds",] == 12.5


async def test_a_symbol_that_cannot_be_read_twice_over_counts_once(rig: StatusRig) -> None:
    assert (await values(rig))["p33_unreadable_symbols",] == 0
    rig.book.set_unreadable("ABCUSDT", "no updateTime")
    rig.channels.unreadable_rules.send({"ABCUSDT": "no filters", "XYZUSDT": "no filters"})
    seen = await values(rig)
    assert seen["p33_unreadable_symbols",] == 2
    assert seen["p33_ready",] == 1


async def test_the_durability_of_redis_is_shown_and_nothing_while_it_is_silent(rig: StatusRig) -> None:
    names = ("p33_redis_evicted_keys", "p33_redis_may_evict", "p33_redis_append_only")
    seen = await values(rig)
    assert all(math.isnan(seen[name,]) for name in names)
    rig.channels.durability.send(Durability(True, "allkeys-lru", 12))
    seen = await values(rig)
    assert [seen[name,] for name in names] == [12, 1, 1]
    rig.channels.durability.send(Durability(False, "noeviction", 12))
    seen = await values(rig)
    assert [seen[name,] for name in names] == [12, 0, 0]


async def test_a_name_is_shown_once(rig: StatusRig) -> None:
    (first, *_) = rig.gauges()
    with pytest.raises(ValueError, match=first.name):
        rig.monitor.registry.show(first)


async def test_lines_lost_by_the_log_are_a_counter_read_at_each_scrape(rig: StatusRig) -> None:
    assert (await values(rig))["p33_log_lines_dropped_total",] == 0
    rig.log_lines_dropped = 530
    assert (await values(rig))["p33_log_lines_dropped_total",] == 530
    with pytest.raises(ValueError, match="p33_log_lines_dropped"):
        rig.monitor.registry.show_total(lines_dropped(lambda: 0))
