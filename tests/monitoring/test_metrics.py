from __future__ import annotations

import httpx
import msgspec
import pytest
import trio
import trio.testing
from prometheus_client.parser import text_string_to_metric_families

from brain.decisions.decision import decide
from channels import Channels, Count, Lease, SetGauge, StreamStatus
from monitoring.gate_distribution import GateCounts
from monitoring.http.server import AddressUnusableError
from monitoring.metrics.families import dropped
from monitoring.service_log import build_tag, version
from monitoring.status.document import StatusDocument
from supervision import Heartbeat
from tests.background import background
from tests.brain.cases import case
from tests.monitoring.status_rig import NEEDED, StatusRig, node, serving


async def sample(client: httpx.AsyncClient, name: str, *labels: str) -> float | None:
    text = (await client.get("/metrics")).text
    for family in text_string_to_metric_families(text):
        for each in family.samples:
            if each.name == name and tuple(each.labels.values()) == labels:
                return each.value
    return None


async def test_events_of_the_actors_are_on_metrics(rig: StatusRig, client: httpx.AsyncClient) -> None:
    rig.events.send(Count("p33_permit_deny_total", ("BTCUSDT", "no_position")))
    answer = await client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert await sample(client, "p33_permit_deny_total", "BTCUSDT", "no_position") == 1
    assert await sample(client, "p33_build_info", build_tag()) == 1


async def test_a_burst_is_taken_and_what_did_not_fit_is_visible(rig: StatusRig) -> None:
    for _ in range(rig.events.capacity + 20):
        rig.events.send(Count("p33_stream_divergence_total"))
    async with serving(rig) as client:
        assert await sample(client, "p33_stream_divergence_total") == rig.events.capacity
        assert await sample(client, "p33_channel_dropped_total", "metrics") == 20
        assert await sample(client, "p33_channel_depth", "metrics") == 0


async def test_an_event_that_fits_no_metric_kills_nothing(rig: StatusRig, client: httpx.AsyncClient) -> None:
    rig.events.send(Count("p33_not_declared_total"))
    rig.events.send(Count("p33_permit_allow_total", ("too", "many")))
    rig.events.send(Count("p33_permit_allow_total", ("BTCUSDT",)))
    assert await sample(client, "p33_permit_allow_total", "BTCUSDT") == 1
    assert await sample(client, "p33_metric_events_refused_total", "unknown_metric") == 1


async def test_counters_go_on_where_they_were_after_a_restart_of_the_actor(rig: StatusRig) -> None:
    for expected in (1, 2):
        async with serving(rig) as client:
            rig.events.send(Count("p33_stream_divergence_total"))
            assert await sample(client, "p33_stream_divergence_total") == expected


async def test_the_process_lives_while_it_is_not_ready(rig: StatusRig) -> None:
    rig.lease.send(Lease(None, "elsewhere"))
    async with serving(rig) as client:
        alive = await client.get("/healthz")
        assert (alive.status_code, alive.text) == (200, "ok")
        ready = await client.get("/readyz")
        assert ready.status_code == 503
        assert ready.json() == {"ready": False, "reasons": ["standing by: the lease is held by elsewhere"]}


async def test_ready_comes_and_goes_with_what_plans_need(rig: StatusRig, client: httpx.AsyncClient) -> None:
    ready = await client.get("/readyz")
    assert (ready.status_code, ready.json()) == (200, {"ready": True, "reasons": []})
    rig.clock.advance(8.5)
    assert (await client.get("/readyz")).json()["reasons"] == [
        "all 1 snapshots are older than 10 s or not trusted"
    ]
    rig.publish("BTCUSDT", "0", age_sec=10.0)
    assert (await client.get("/readyz")).status_code == 200
    rig.book.lose_trust(rig.clock.now())
    assert (await client.get("/readyz")).status_code == 503


async def test_an_actor_that_decides_nothing_at_present_is_a_reason(rig: StatusRig) -> None:
    rig.tree = node("brain", node("deciding", node("permit_evaluator", state="backing_off"), *NEEDED[1:]))
    assert rig.monitor.status.readiness().reasons == ["permit_evaluator is backing off"]
    rig.tree = node("brain", *NEEDED[1:])
    assert rig.monitor.status.readiness().reasons == ["permit_evaluator is missing"]
    rig.tree = node("brain", *NEEDED, state="stopping")
    assert rig.monitor.status.readiness().reasons == ["the service is stopping"]


async def test_waits_for_redis_are_a_reason(rig: StatusRig) -> None:
    rig.waits = [
        ("brain/ledger_writer", "Redis at r:6379"),
        ("brain/user_stream", "Binance's private stream"),
    ]
    assert rig.monitor.status.readiness().reasons == ["waiting for Redis at r:6379 (ledger_writer)"]


async def test_status_shows_what_is_known() -> None:
    rig = StatusRig(snapshot=False)
    allowed, denied = decide(case()), decide(case(amount="0"))
    rig.monitor.gates.decided([allowed])
    rig.monitor.gates.decided([denied])
    rig.clock.advance(400)
    rig.monitor.gates.decided([denied])
    rig.publish("BTCUSDT", "-0.038", age_sec=2.0)
    rig.publish("ETHUSDT", "0", age_sec=12.0)
    rig.publish("XRPUSDT", "0", age_sec=4.0)
    rig.tree = node("brain", node("metrics", restarts=2, last_reason="ValueError: odd"), *NEEDED)
    rig.channels.stream_status.send(
        StreamStatus(
            epoch=3,
            connected_since=rig.clock.now().earlier_by(60),
            proven_as_of=rig.clock.now().earlier_by(0.5),
            allowance_sec=0.25,
            losses=2,
            last_loss="closed",
        )
    )
    async with serving(rig) as client:
        rig.events.send(SetGauge("p33_request_weight_used", 45))
        rig.clock.advance(1.0)
        answer = await client.get("/status")
    assert answer.headers["content-type"] == "application/json"
    status = msgspec.json.decode(answer.content, type=StatusDocument)
    assert (status.build_tag, status.version) == (build_tag(), version())
    assert (status.instance, status.uptime_sec) == ("here:8045", 401.0)
    assert status.started_at == "2026-09-21T14:13:20.000Z"
    assert (status.ready, status.reasons) == (True, [])
    assert status.tree == rig.tree
    assert (status.lease.held, status.lease.holder) == (True, "here:8045")
    assert (status.stream.trusted, status.stream.proven_age_sec, status.stream.periods) == (True, 1.5, 3)
    assert (status.stream.last_loss, status.stream.trust_lost_at) == ("closed", None)
    snapshots = status.snapshots
    assert (snapshots.count, snapshots.stale, snapshots.disbelieved) == (3, 1, 0)
    assert (snapshots.oldest_age_sec, snapshots.median_age_sec) == (13.0, 5.0)
    assert status.allowlist is not None
    assert (status.allowlist.source, status.allowlist.count, status.allowlist.age_sec) == (
        "universe_active",
        1,
        406.0,
    )
    assert (status.symbols_known, status.hedge_mode, status.ledgers_adopted) == (1, False, True)
    assert status.request_weight_used == 45
    assert (status.gates.allow, status.gates.deny) == (1, 2)
    assert status.gates.deny_by_reason == {"no_position": 2}
    assert status.gates.last_5_min == GateCounts(0, 1, {}, {"no_position": 1})
    assert status.gates.last_1_h == GateCounts(1, 2, {"sanity_checks_passed": 1}, {"no_position": 2})
    depths = {channel.name: (channel.depth, channel.dropped) for channel in status.channels}
    assert [channel.name for channel in rig.channels.all()] == list(depths)
    assert (depths["snapshot_book"], depths["metrics"], depths["lease"]) == ((3, None), (0, 0), (1, None))
    shown = {each.name: (each.value, each.origin) for each in status.settings}
    assert shown["BINANCE_API_SECRET"] == ("***", "env")
    assert shown["P33_METRICS_PORT"][1] == "default"


async def test_status_says_null_for_what_is_not_known(rig: StatusRig) -> None:
    for channel in (
        rig.lease,
        rig.channels.allowlist,
        rig.channels.symbol_rules,
        rig.channels.hedge_mode,
        rig.channels.ledgers_adopted,
    ):
        channel.value = None
    rig.book.lose_trust(rig.clock.now())
    status = msgspec.json.decode(msgspec.json.encode(rig.monitor.status.status()))
    assert status["lease"] == {"held": False, "holder": None, "namesake": None}
    for name in ("allowlist", "symbols_known", "hedge_mode", "request_weight_used"):
        assert status[name] is None, name
    assert status["stream"]["trusted"] is False
    assert status["stream"]["trust_lost_at"] == "2026-09-21T14:13:20.000Z"
    assert status["stream"]["proven_age_sec"] is None
    assert status["snapshots"]["disbelieved"] == status["snapshots"]["stale"] == 1
    assert status["ready"] is False
    assert len(status["reasons"]) == 6


async def test_an_empty_book_has_no_ages() -> None:
    rig = StatusRig(snapshot=False)
    snapshots = rig.monitor.status.status().snapshots
    assert (snapshots.count, snapshots.oldest_age_sec, snapshots.median_age_sec) == (0, None, None)


async def test_a_port_in_use_is_one_clear_error() -> None:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listener:
        port = listener.socket.getsockname()[1]
        rig = StatusRig(port=port)
        with pytest.raises(AddressUnusableError, match=f"127.0.0.1:{port}.*P33_METRICS_PORT.*in use"):
            await rig.metrics.run(Heartbeat())
    assert rig.channels.http_address.value is None


async def test_the_actor_ends_when_asked_to(rig: StatusRig) -> None:
    heartbeat = Heartbeat()
    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(rig.metrics.run, heartbeat)
            await rig.channels.http_address.changed()
            heartbeat.stopping.set()


async def test_an_actor_without_work_is_idle_and_not_taken_for_stuck(rig: StatusRig) -> None:
    heartbeat = Heartbeat()
    async with background(rig.metrics.run, heartbeat):
        await rig.channels.http_address.changed()
        await trio.testing.wait_all_tasks_blocked()
        assert heartbeat.spoken
        assert heartbeat.oldest_beat_at_work_sec() is None


def test_a_channel_counts_what_it_loses_only_where_it_has_a_capacity() -> None:
    own_orders = Channels(1, executor=True).own_orders
    assert own_orders is not None
    assert dropped(own_orders) == 0
    own_orders.dropped = 3
    assert dropped(own_orders) == 3
    assert dropped(Channels(1).changes) is None
