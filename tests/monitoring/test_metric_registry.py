from __future__ import annotations

import time

import pytest
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families

from channels import Count, DropOldest, MetricEvent, Observe, PushBack, SetGauge
from monitoring.metrics.catalogue import CATALOGUE
from monitoring.metrics.families import ChannelMetrics, LiveGauge
from tests.monitoring.status_rig import NOON_MS, StatusRig

LIVE = {
    "p33_snapshot_age_sec",
    "p33_last_snapshot_ts",
    "p33_position_amt",
    "p33_channel_depth",
    "p33_channel_dropped_total",
    "p33_build_info",
}


async def families(rig: StatusRig) -> dict[str, Metric]:
    """Return what a scraper reads, under the names that stand in the `# TYPE` lines."""
    text = (await rig.monitor.registry.exposition()).decode()
    parsed = text_string_to_metric_families(text)
    return {family.name + "_total" * (family.type == "counter"): family for family in parsed}


async def values(rig: StatusRig) -> dict[tuple[str, ...], float]:
    """Each series' value, by name and label values."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in (await families(rig)).values()
        for sample in family.samples
    }


def events_for_every_declared_metric() -> list[MetricEvent]:
    events: list[MetricEvent] = []
    for declared in CATALOGUE:
        if declared.kind == "counter":
            events.append(Count(declared.name, declared.labels))
        elif declared.kind == "gauge":
            events.append(SetGauge(declared.name, 3, declared.labels))
        else:
            events.append(Observe(declared.name, 0.004))
    return events


async def test_declared_metrics_are_exposed_with_their_names_types_and_labels(rig: StatusRig) -> None:
    for event in events_for_every_declared_metric():
        rig.monitor.registry.apply(event)
    exposed = await families(rig)
    for declared in CATALOGUE:
        family = exposed[declared.name]
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        assert (family.type, labels) == (declared.kind, set(declared.labels)), declared.name
    gauges = {gauge.name for gauge in rig.gauges()} | {"p33_log_lines_dropped_total"}
    assert exposed.keys() == {declared.name for declared in CATALOGUE} | LIVE | gauges


async def test_no_series_but_those_of_the_metrics_is_exposed(rig: StatusRig) -> None:
    for event in events_for_every_declared_metric():
        rig.monitor.registry.apply(event)
    assert b"_created" not in await rig.monitor.registry.exposition()
    assert not rig.log_lines


async def test_counters_add_gauges_replace_and_histograms_count(rig: StatusRig) -> None:
    for event in (
        Count("p33_permit_total", ("BTCUSDT", "allow")),
        Count("p33_permit_total", ("BTCUSDT", "allow"), 2),
        SetGauge("p33_ledger_amt", 5, ("BTCUSDT",)),
        SetGauge("p33_ledger_amt", -0.25, ("BTCUSDT",)),
        Observe("p33_decision_latency_seconds", 0.004),
        Observe("p33_decision_latency_seconds", 99),
        Observe("p33_evaluation_duration_seconds", 0.0001, 3),
        Observe("p33_evaluation_duration_seconds", 0.00010001, 2),
    ):
        rig.monitor.registry.apply(event)
    seen = await values(rig)
    assert seen["p33_permit_total", "BTCUSDT", "allow"] == 3
    assert seen["p33_ledger_amt", "BTCUSDT"] == -0.25
    assert seen["p33_decision_latency_seconds_bucket", "0.005"] == 1
    assert seen["p33_decision_latency_seconds_bucket", "0.002"] == 0
    assert seen["p33_decision_latency_seconds_count",] == 2
    assert seen["p33_decision_latency_seconds_sum",] == pytest.approx(99.004)
    assert seen["p33_decision_latency_seconds_bucket", "+Inf"] == 2
    assert seen["p33_evaluation_duration_seconds_bucket", "0.0001"] == 3, "a bound belongs to its bucket"
    assert seen["p33_evaluation_duration_seconds_bucket", "0.0002"] == 5
    assert seen["p33_evaluation_duration_seconds_count",] == 5
    assert seen["p33_evaluation_duration_seconds_sum",] == pytest.approx(0.00050002)


REFUSED: list[tuple[MetricEvent, str]] = [
    (Count("p33_not_declared_total"), "unknown_metric"),
    (Count("p33_permit_total", ("BTCUSDT",)), "wrong_labels"),
    (Count("p33_stream_divergence_total", ("BTCUSDT",)), "wrong_labels"),
    (SetGauge("p33_permit_total", 1, ("BTCUSDT", "allow")), "wrong_kind"),
    (Observe("p33_stream_trusted", 1), "wrong_kind"),
    (Count("p33_stream_divergence_total", (), -1), "wrong_value"),
    (Count("p33_stream_divergence_total", (), float("inf")), "wrong_value"),
    (Observe("p33_push_latency_seconds", float("nan")), "wrong_value"),
    (Observe("p33_push_latency_seconds", 0.1, -1), "wrong_value"),
    (Observe("p33_not_declared_seconds", 1), "unknown_metric"),
    (Count("p33_push_latency_seconds"), "wrong_kind"),
]


@pytest.mark.parametrize(("event", "why"), REFUSED)
async def test_an_event_that_fits_no_metric_is_counted_and_logged_once(event: MetricEvent, why: str) -> None:
    rig = StatusRig()
    before = await values(rig)
    for _ in range(3):
        rig.monitor.registry.apply(event)
    after = await values(rig)
    assert after.pop(("p33_metric_events_refused_total", why)) == 3
    assert str(after) == str(before), "as text: NaN equals nothing"
    assert rig.log_lines == [("warning", {"event": "Metric event refused", "metric": event.name, "why": why})]


@pytest.mark.parametrize(
    ("name", "room"), [("p33_plans_skipped_total", 1000), ("p33_permit_allow_total", 20_000)]
)
async def test_labels_taken_from_outside_cannot_fill_the_memory(name: str, room: int, rig: StatusRig) -> None:
    for number in range(room + 50):
        rig.monitor.registry.apply(Count(name, (f"WISH_{number}",)))
    rig.monitor.registry.apply(Count(name, ("WISH_0",)))
    seen = await values(rig)
    assert seen["p33_metric_events_refused_total", "too_many_series"] == 50
    assert seen[name, "WISH_0"] == 2
    assert seen[name, f"WISH_{room - 1}"] == 1
    assert (name, f"WISH_{room}") not in seen


@pytest.mark.parametrize("name", ["p33_plans_skipped_total", "p33_permit_allow_total"])
async def test_a_hostile_label_stays_within_its_line(name: str, rig: StatusRig) -> None:
    hostile = 'HOLD"} 7\np33_stream_trusted 1\n\\n\\'
    rig.monitor.registry.apply(Count(name, (hostile,)))
    seen = await values(rig)
    assert seen[name, hostile] == 1
    assert seen["p33_stream_trusted",] == 0


async def test_gauges_may_be_anything_a_float_can_be(rig: StatusRig) -> None:
    for number, value in enumerate((float("inf"), 1e300, 1e-9, 12345678.125)):
        rig.monitor.registry.apply(SetGauge("p33_ledger_amt", value, (f"S{number}",)))
    seen = await values(rig)
    assert [seen["p33_ledger_amt", f"S{number}"] for number in range(4)] == [
        float("inf"),
        1e300,
        1e-9,
        12345678.125,
    ]


def test_a_gauge_that_was_never_set_is_unknown(rig: StatusRig) -> None:
    assert rig.monitor.registry.value("p33_request_weight_used") is None
    rig.monitor.registry.apply(SetGauge("p33_request_weight_used", 45))
    assert rig.monitor.registry.value("p33_request_weight_used") == 45


def test_one_gauge_is_read_without_the_others(rig: StatusRig) -> None:
    reads: list[float] = []

    def read() -> float:
        reads.append(1.0)
        return 1.0

    rig.monitor.registry.show(LiveGauge("p33_tested", "Reads counted.", read))
    rig.monitor.registry.apply(SetGauge("p33_request_weight_used", 45))
    assert rig.monitor.registry.value("p33_request_weight_used") == 45
    assert not reads


async def test_snapshots_are_shown_as_they_are_at_the_moment_of_the_scrape(rig: StatusRig) -> None:
    rig.clock.advance(1.5)
    seen = await values(rig)
    assert seen["p33_snapshot_age_sec", "BTCUSDT"] == 3.5
    assert seen["p33_last_snapshot_ts", "BTCUSDT"] == NOON_MS / 1000 - 2
    assert seen["p33_position_amt", "BTCUSDT"] == -0.038


async def test_channels_show_depth_and_what_they_dropped(rig: StatusRig) -> None:
    for _ in range(rig.events.capacity + 7):
        rig.events.send(Count("p33_stream_divergence_total"))
    seen = await values(rig)
    assert seen["p33_channel_depth", "metrics"] == 100
    assert seen["p33_channel_dropped_total", "metrics"] == 7
    assert seen["p33_channel_depth", "snapshot_book"] == 1
    assert ("p33_channel_dropped_total", "lease") not in seen


def test_two_channels_of_one_name_are_a_mistake_of_the_wiring() -> None:
    with pytest.raises(ValueError, match="plans"):
        ChannelMetrics((DropOldest[int]("plans", 1), PushBack[int]("plans", 1)))


async def test_a_scrape_of_569_symbols_is_cheap(rig: StatusRig) -> None:
    for number in range(569):
        symbol = f"S{number}USDT"
        rig.publish(symbol, "0.001", age_sec=1)
        for event in (
            Count("p33_snapshot_total", (symbol, "ok")),
            SetGauge("p33_ledger_amt", 1, (symbol,)),
            Count("p33_permit_total", (symbol, "deny")),
            Count("p33_permit_deny_total", (symbol, "stale_exchange_state")),
        ):
            rig.monitor.registry.apply(event)
    durations_sec = []
    for _ in range(5):
        began_sec = time.process_time()
        text = await rig.monitor.registry.exposition()
        durations_sec.append(time.process_time() - began_sec)
    assert text.count(b"p33_snapshot_age_sec{") == 570
    # About 4 ms; the bound is for a machine that is busy with other things.
    assert min(durations_sec) < 0.04
