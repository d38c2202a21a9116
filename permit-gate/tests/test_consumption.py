"""Steps between the read of the permits and their consumption, on a real redis-server."""

from __future__ import annotations

from typing import Any

import pytest
import redis

from gate_testing.permits import SYMBOL, denied_permit, governor_permit, p33_permit
from permit_gate import GOVERNOR, P33, Ask
from permit_gate.ask import Command, Send

_KEYS = ("quantum:permit:a", "quantum:permit:p33:a")


def _looked(store: redis.Redis) -> Command:
    """The consumption of plan `a`, about to be sent: both permits were there, and good."""
    store.mset(dict(zip(_KEYS, (governor_permit(), p33_permit("a")))))
    conversation = Ask("a", SYMBOL, (GOVERNOR, P33)).conversation(lambda: 0.0)
    first = conversation.send(None)
    assert isinstance(first, Send)
    second = conversation.send([b"OK", _carry_out(store, first.commands[-1])])
    assert isinstance(second, Send)
    return second.commands[0]


def _carry_out(store: redis.Redis, command: Command) -> Any:
    return store.execute_command(*command)  # type: ignore[no-untyped-call]


async def test_unchanged_permits_are_consumed(redis_server: str) -> None:
    store = redis.Redis.from_url(redis_server)
    assert _carry_out(store, _looked(store)) == [b"consumed"]
    assert store.exists(*_KEYS) == 0


@pytest.mark.parametrize("key", _KEYS)
async def test_a_permit_that_was_revoked_since_saves_the_other(redis_server: str, key: str) -> None:
    store = redis.Redis.from_url(redis_server)
    consumption = _looked(store)
    store.delete(key)
    assert _carry_out(store, consumption) == [b"changed"]
    assert store.exists(*_KEYS) == 1


async def test_a_permit_that_became_a_deny_since_is_not_consumed(redis_server: str) -> None:
    store = redis.Redis.from_url(redis_server)
    consumption = _looked(store)
    store.set("quantum:permit:p33:a", denied_permit("a", "no_position"))
    assert _carry_out(store, consumption) == [b"changed"]
    assert store.exists(*_KEYS) == 2


async def test_a_hold_that_comes_between_look_and_consumption_stops_it(redis_server: str) -> None:
    store = redis.Redis.from_url(redis_server)
    consumption = _looked(store)
    store.set(f"quantum:reconcile:hold:{SYMBOL}", "drift")
    assert _carry_out(store, consumption) == [b"hold"]
    assert store.exists(*_KEYS) == 2
