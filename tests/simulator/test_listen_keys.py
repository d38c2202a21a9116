from __future__ import annotations

import msgspec
import pytest

from simulator import SimulatedExchange
from simulator.errors import ApiError
from simulator.listen_keys import VALIDITY_MS
from tests.simulator.clients import HandClock, Recorder, ask, error_code

PATH = "/fapi/v1/listenKey"


def create(exchange: SimulatedExchange) -> str:
    exchange.listen_keys.create_or_extend(exchange.host_ms())
    assert exchange.listen_keys.live is not None
    return exchange.listen_keys.live


def test_creating_again_returns_the_live_key_and_extends_it(
    exchange: SimulatedExchange, clock: HandClock
) -> None:
    key = create(exchange)
    clock.now_ms += VALIDITY_MS - 1
    assert create(exchange) == key
    clock.now_ms += VALIDITY_MS - 1
    exchange.expire_listen_key()
    assert exchange.listen_keys.is_live(key)


def test_a_key_not_extended_for_an_hour_expires_with_one_event_for_its_own_stream(
    exchange: SimulatedExchange, clock: HandClock
) -> None:
    recorder = Recorder(exchange)
    key = create(exchange)
    clock.now_ms += VALIDITY_MS
    exchange.expire_listen_key()
    exchange.expire_listen_key()
    assert [(event.event_type, event.listen_key) for event in recorder.events] == [("listenKeyExpired", key)]
    assert recorder.payloads() == [{"e": "listenKeyExpired", "E": clock.now_ms, "listenKey": key}]
    assert create(exchange) != key


def test_the_expiry_event_can_carry_its_time_as_text_as_documented(exchange: SimulatedExchange) -> None:
    recorder = Recorder(exchange)
    create(exchange)
    exchange.faults.listen_key_expired_time_as_text = True
    exchange.expire_listen_key(now=True)
    assert recorder.payloads()[0]["E"] == str(exchange.exchange_ms())


def test_keeping_alive_a_key_that_is_gone_is_1125(exchange: SimulatedExchange, clock: HandClock) -> None:
    with pytest.raises(ApiError, match="-1125"):
        exchange.listen_keys.extend(clock.now_ms)
    create(exchange)
    assert ask(exchange, "PUT", PATH).status == 200
    clock.now_ms += VALIDITY_MS
    assert error_code(ask(exchange, "PUT", PATH)) == -1125


def test_keeping_alive_another_key_is_1125(exchange: SimulatedExchange) -> None:
    key = create(exchange)
    assert error_code(ask(exchange, "PUT", PATH, listenKey="other")) == -1125
    assert ask(exchange, "PUT", PATH, listenKey=key).status == 200


def test_deleting_a_key_sends_its_expiry_and_a_put_is_1125_from_then_on(exchange: SimulatedExchange) -> None:
    recorder = Recorder(exchange)
    key = create(exchange)
    assert ask(exchange, "DELETE", PATH).status == 200
    assert [(event.event_type, event.listen_key) for event in recorder.events] == [("listenKeyExpired", key)]
    assert not exchange.listen_keys.is_live(key)
    refused = ask(exchange, "PUT", PATH)
    assert (refused.status, error_code(refused)) == (400, -1125)
    assert create(exchange) != key


def test_a_key_can_be_deleted_and_replaced_without_an_event(exchange: SimulatedExchange) -> None:
    recorder = Recorder(exchange)
    key = create(exchange)
    other = exchange.replace_listen_key()
    assert other != key
    assert msgspec.json.decode(ask(exchange, "PUT", PATH).body) == {"listenKey": other}
    exchange.delete_listen_key(silently=True)
    assert (exchange.listen_keys.live, recorder.events) == (None, [])
    create(exchange)
    exchange.replace_listen_key(silently=False)
    assert [event.event_type for event in recorder.events] == ["listenKeyExpired"]
