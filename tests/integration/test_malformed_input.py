"""Whatever the bytes: a deny, a dead letter or a counted drop; the actors stay up, nothing stays pending."""

from __future__ import annotations

import pytest

from exchange import connection_limit
from exchange.protocol import Priority
from simulator import external_events
from supervision import Backoff
from tests.integration.http_side import body
from tests.integration.pipeline import PLANS, RESULTS, Fields, entry, executed, full_close
from tests.integration.service_in_process import ServiceInProcess
from tests.integration.site import Site
from tests.integration.surroundings import is_ready
from tests.integration.waiting import until

MEGABYTE = "9" * 1_000_000
GOOD = entry("BTCUSDT", "0.01")

#: Plans that can be answered: each with what makes it bad.
DENIED: dict[str, Fields] = {
    "not-a-number": GOOD | {"qty": "NaN"},
    "infinite": GOOD | {"qty": "Infinity"},
    "overflowing": GOOD | {"qty": "1e999"},
    "huge-exponent": GOOD | {"qty": "1e999999999999"},
    "negative": GOOD | {"qty": "-0.01"},
    "negative-close": full_close("BTCUSDT") | {"close_qty": "-1"},
    "two-quantities": GOOD | {"qty": "0.01", "close_qty": "0.02"},
    "no-quantity": GOOD | {"qty": ""},
    "words": GOOD | {"qty": "all of it"},
    "other-digits": GOOD | {"qty": "١٢"},
    "underscore": GOOD | {"qty": "1_000"},
    "megabyte": GOOD | {"qty": MEGABYTE},
    "megabyte-elsewhere": GOOD | {"reason_codes": MEGABYTE},
    "megabyte-name": GOOD | {MEGABYTE: "1"},
    "many-fields": GOOD | {f"k_{number}": "x" * 100 for number in range(500)},
    "invalid-utf8-symbol": GOOD | {"symbol": b"BTC\xff\xfeUSDT"},
    "invalid-utf8-side": GOOD | {"side": b"\xc3\x28"},
    "invalid-utf8-qty": GOOD | {"qty": b"\xf0\x28\x8c\x28"},
    "no-symbol": {name: value for name, value in GOOD.items() if name != "symbol"},
    "empty-symbol": GOOD | {"symbol": ""},
    "wild-symbol": GOOD | {"symbol": "*"},
    "key-breaking-symbol": GOOD | {"symbol": "BTC:USDT"},
    "long-symbol": GOOD | {"symbol": "B" * 4000},
    "control-characters": GOOD | {"symbol": "BTC\r\n\x00USDT"},
    "no-decision": {name: value for name, value in GOOD.items() if name != "decision"},
    "no-side": GOOD | {"side": "SIDEWAYS"},
    "no-boolean": GOOD | {"reduceOnly": "perhaps"},
    "missing-reduce-only": {name: value for name, value in GOOD.items() if name != "reduceOnly"},
    "no-leg": GOOD | {"positionSide": "MIDDLE"},
    "no-time": GOOD | {"timestamp": "yesterday"},
    "infinite-time": GOOD | {"timestamp": "1e999"},
    "not-a-time": GOOD | {"timestamp": "NaN"},
    "no-price": GOOD | {"price": "-1"},
    "no-eval-type": GOOD | {"eval_type": "BOTH"},
    "contradiction": full_close("BTCUSDT") | {"reduceOnly": "false"},
    "null-bytes": GOOD | {"action": "ENTRY\x00PROPOSED"},
    "id with spaces and ~!{}*": GOOD | {"qty": "NaN"},
}

#: Plans that cannot be answered.
DEAD_PLANS: list[Fields] = [
    GOOD,
    GOOD | {"plan_id": ""},
    GOOD | {"plan_id": "p33:collides"},
    GOOD | {"plan_id": "p26:collides"},
    GOOD | {"plan_id": b"\xff\xfe"},
    GOOD | {"plan_id": "two\nlines"},
    GOOD | {"plan_id": "x" * 257},
    GOOD | {"plan_id": MEGABYTE},
    {b"\xff": b"\xfe"},
    {"": ""},
]

RESULT = executed("some-plan", "BTCUSDT", "4711", "BUY", "0.01")
DETAILS = {"event_type": "order", "plan_id": "some-plan", "symbol": "BTCUSDT", "executed": "true"}
STEPS = {"plan_id": "some-plan", "symbol": "BTCUSDT", "decision": "EXECUTE", "executed": "True"}
DEAD_RESULTS: list[Fields] = [
    RESULT | {"filled_qty": "NaN"},
    RESULT | {"filled_qty": "1e999"},
    RESULT | {"filled_qty": "-0.01"},
    RESULT | {"filled_qty": ""},
    RESULT | {"filled_qty": MEGABYTE},
    RESULT | {"filled_qty": b"\xff"},
    RESULT | {"order_id": ""},
    RESULT | {"order_id": "x" * 65},
    RESULT | {"order_id": MEGABYTE},
    RESULT | {"order_id": "4711.0"},
    RESULT | {"symbol": ""},
    RESULT | {"symbol": b"\xff\xfe"},
    RESULT | {"symbol": "a:b"},
    RESULT | {"plan_id": ""},
    RESULT | {"plan_id": "x" * 1000},
    RESULT | {"executed": "sometimes"},
    RESULT | {"executed": ""},
    RESULT | {"side": "SIDEWAYS"},
    RESULT | {"plan_id": "unknown-plan", "side": "CLOSE"},
    STEPS | {"steps_results": "not json"},
    STEPS | {"steps_results": "[" * 100_000},
    STEPS | {"steps_results": "[]"},
    STEPS | {"steps_results": '[{"order_id": 5, "side": "BUY", "executed_qty": NaN}]'},
    STEPS | {"steps_results": '[{"order_id": 5, "side": "BUY", "executed_qty": 1e999}]'},
    STEPS | {"steps_results": '[{"order_id": 5.5, "side": "BUY", "executed_qty": "1"}]'},
    STEPS | {"steps_results": '[{"order_id": {}, "side": "BUY", "executed_qty": "1"}]'},
    STEPS | {"steps_results": '[{"side": "BUY", "executed_qty": "1", "status": "FILLED"}]'},
    STEPS | {"steps_results": '{"order_id": 5}'},
    STEPS | {"steps_results": b"\xff\xfe"},
    DETAILS | {"details": "null"},
    DETAILS | {"details": '{"order_id": 5, "side": "BUY"}'},
    DETAILS | {"details": '{"order_id": 5, "side": "BUY", "filled_qty": "-1"}'},
    DETAILS | {"details": '{"order_id": 5, "side": "BUY", "filled_qty": "\\ud800"}'},
    DETAILS | {"details": MEGABYTE},
    {b"\xff": b"\xfe"},
    {"": ""},
]

FRAMES: list[bytes] = [
    b"",
    b"not json",
    b"\xff\xfe\xfd",
    b"[]",
    b"null",
    b'{"e":"ACCOUNT_UPDATE"}',
    b'{"e":"ACCOUNT_UPDATE","T":1e999,"a":{"P":[]}}',
    b'{"e":"ACCOUNT_UPDATE","T":1,"a":{"P":[{"s":"BTCUSDT","pa":"NaN"}]}}',
    b'{"e":"ACCOUNT_UPDATE","T":1,"a":{"P":[{"s":"BTCUSDT","pa":"1e999999"}]}}',
    b'{"e":"ACCOUNT_UPDATE","T":1,"a":{"P":[{"s":"BTCUSDT","pa":"5","ps":"MIDDLE"}]}}',
    b'{"e":"ACCOUNT_UPDATE","T":1,"a":{"P":"all"}}',
    b'{"e":"ORDER_TRADE_UPDATE","T":1,"o":{"s":"BTCUSDT","x":"TRADE"}}',
    b'{"e":"ORDER_TRADE_UPDATE","T":1,"o":{"s":"BTCUSDT","S":"BUY","x":"TRADE","X":"FILLED","i":1,"z":"-Infinity"}}',
    b'{"e":"ACCOUNT_UPDATE","T":' + MEGABYTE.encode() + b',"a":{"P":[]}}',
]
#: Read and not reported: they change nothing.
HARMLESS_FRAMES: list[bytes] = [
    b'{"e":"SOMETHING_NEW","T":1,"whatever":[1,2,{"deep":null}]}',
    b'{"e":"ACCOUNT_UPDATE","T":1,"a":{"P":[{"s":"NOPEUSDT","pa":"5"}]}}',
    b'{"e":"ACCOUNT_UPDATE","T":-5,"a":{"P":[{"s":"BTCUSDT","pa":"5"}]}}',
    b'{"e":"ACCOUNT_UPDATE","T":1,"a":{"m":"FUNDING_FEE"}}',
]


async def test_malformed_plans_are_denied_or_dead_letters_and_the_next_one_is_answered(site: Site) -> None:
    async with site.service() as service:
        for plan_id, fields in DENIED.items():
            site.publish_plan(plan_id, fields)
        for fields in DEAD_PLANS:
            site.publish(PLANS, fields)
        for plan_id in DENIED:
            permit = await site.permit(plan_id)
            assert (plan_id, permit["allow"], permit["reason"]) == (plan_id, False, "malformed_plan")
            assert permit["details"], plan_id
        answer = await site.ask("good", GOOD)
        assert answer["reason"] == "open_permit_granted"
        await site.nothing_pends(PLANS)
        dead = site.dead_letters(PLANS)
        assert len(dead) == len(DEAD_PLANS)
        assert all(fields["error"] and fields["entry_id"] for fields in dead)
        assert max(len(value) for fields in dead for value in fields.values()) < 2_000
        await site.decided_once([*DENIED, "good"])
        assert service.restarts() == {}


async def test_malformed_results_are_dead_letters_and_the_next_one_is_booked(site: Site) -> None:
    async with site.service() as service:
        for fields in DEAD_RESULTS:
            site.publish_result(fields)
        site.fill("good", "BTCUSDT", "SELL", "0.01")
        await site.ledger_reaches("BTCUSDT", "-0.01")
        await site.nothing_pends(RESULTS)
        dead = site.dead_letters(RESULTS)
        assert len(dead) == len(DEAD_RESULTS)
        assert all(fields["error"] and fields["entry_id"] for fields in dead)
        assert max(len(value) for fields in dead for value in fields.values()) < 2_000
        assert service.restarts() == {}


@pytest.mark.parametrize("frames", [FRAMES, HARMLESS_FRAMES], ids=["unreadable", "harmless"])
async def test_malformed_stream_events_are_counted_and_the_stream_is_trusted_again(
    site: Site, frames: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    # So many losses within seconds would have to wait for each other.
    monkeypatch.setattr(
        "actors.user_stream.reconnect_pauses._BACKOFF", Backoff(initial_sec=0.1, maximum_sec=0.1)
    )
    monkeypatch.setattr(connection_limit, "most_connections", lambda _share: dict.fromkeys(Priority, 1000))
    exchange = site.exchange
    async with site.service() as service:
        for frame in frames:
            losses = stream_losses(service)
            external_events.send_frame(exchange, frame)
            if frames is FRAMES:
                await until(lambda before=losses: stream_losses(service) > before, f"{frame[:80]!r}")  # type: ignore[misc]
            await is_ready(lambda: service.url)
            await stream_is_trusted(service)
        order = external_events.move_position(exchange, "ETHUSDT", target=exchange.symbol("ETHUSDT").min_qty)
        assert order is not None
        await until(lambda: site.snapshot("ETHUSDT").get("side") == "LONG", "a real event is still taken in")
        assert site.snapshot("BTCUSDT")["position_amt"] == "0"
        answer = await site.ask("after", GOOD)
        assert answer["reason"] == "open_permit_granted"
        if frames is FRAMES:
            counted = await body(service.url, "/metrics")
            assert f'p33_stream_events_total{{event="unreadable"}} {len(FRAMES)}.0' in counted
        assert service.restarts() == {}


def stream_losses(service: ServiceInProcess) -> int:
    status = service.channels.stream_status.value
    return status.losses if status else 0


async def stream_is_trusted(service: ServiceInProcess) -> None:
    def proven() -> bool:
        status = service.channels.stream_status.value
        return status is not None and status.proven_as_of is not None

    await until(proven, "the stream is proven", within_sec=10)
