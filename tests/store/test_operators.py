"""What operators change without a lease: the trading state and holds, each compared with what they saw."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from brain.identifiers import Symbol
from store.errors import StoreUnavailableError, WrongRightsError, WrongTypeError
from store.operator_records import Hold
from store.redis.store import RedisStore
from tests.store.backends import KEYS, PATIENCE_SEC, Backend, RedisBackend, everything
from tests.store.executions import EXECUTOR
from tests.store.governed import GOVERNOR, SYMBOL, TRADING_STATE, date_of

_REARMED = ("event", "REARMED", "reason", "all clear", "action_taken", "trading_state=ACTIVE")
_HALTED = ("event", "TRADING_STATE", "reason", "drill", "action_taken", "trading_state=HALTED")
_HOLD_SET = ("event", "HOLD_SET", "symbol", SYMBOL, "hold_sig", "operator:ann")
_CLEARED = ("event", "HOLD_CLEARED", "symbol", SYMBOL)
_OWN = Hold(b"1", b"drill", b"operator:ann", None)
_KEYS = (KEYS.hold(SYMBOL), EXECUTOR.hold_reason(SYMBOL), EXECUTOR.hold_sig(SYMBOL))


def hold_of_another(backend: Backend, *, reason: str = "drift") -> Hold:
    """Hold the symbol as the executor does."""
    for key, text in zip(_KEYS, ("1", reason, "exec:p33-1"), strict=True):
        backend.outside.set(key, text, ttl_ms=300_000)
    return Hold(b"1", reason.encode(), b"exec:p33-1", 300_000)


async def test_a_state_that_is_as_it_was_seen_is_set_with_its_event(backend: Backend) -> None:
    assert await backend.store.set_trading_state(None, "HALTED", _HALTED)
    assert backend.outside.get(TRADING_STATE) == b"HALTED"
    assert backend.outside.pttl(TRADING_STATE) == -1
    view = await backend.store.operator_view(None)
    assert view.switches.trading_state == b"HALTED"
    assert await backend.store.set_trading_state(b"HALTED", "ACTIVE", _REARMED)
    events = [fields[b"event"] for _, fields in backend.outside.xrange(GOVERNOR.events)]
    assert events == [b"TRADING_STATE", b"REARMED"]


@pytest.mark.parametrize("seen", [None, b"ACTIVE", b"", b"!", b"HALTED "])
async def test_a_state_that_is_another_by_now_is_left_alone(backend: Backend, seen: bytes | None) -> None:
    backend.outside.set(TRADING_STATE, "HALTED")
    before = everything(backend.outside)
    assert not await backend.store.set_trading_state(seen, "ACTIVE", _REARMED)
    assert everything(backend.outside) == before


async def test_a_state_of_a_wrong_type_is_replaced_by_an_operator(backend: Backend) -> None:
    backend.outside.hset(TRADING_STATE, {"a": "b"})
    assert (await backend.store.operator_view(None)).switches.trading_state == b"!"
    assert await backend.store.set_trading_state(b"!", "ACTIVE", _REARMED)
    assert backend.outside.get(TRADING_STATE) == b"ACTIVE"


async def test_the_view_shows_todays_disarm_and_the_hold(backend: Backend) -> None:
    nothing = await backend.store.operator_view(SYMBOL)
    assert (nothing.disarmed, nothing.hold) == (None, None)
    backend.outside.set(GOVERNOR.disarm(date_of(nothing.now_ms)), '{"reason":"drawdown"}')
    backend.outside.set(EXECUTOR.lockdown, "1")
    hold_of_another(backend)
    view = await backend.store.operator_view(SYMBOL)
    assert view.disarmed == b'{"reason":"drawdown"}'
    assert view.switches.lockdown
    assert view.hold is not None
    assert view.hold[:3] == (b"1", b"drift", b"exec:p33-1")
    assert view.hold.ttl_ms is not None
    assert 290_000 < view.hold.ttl_ms <= 300_000


async def test_a_hold_of_an_operator_stays_until_it_is_lifted(backend: Backend) -> None:
    assert await backend.store.set_hold(SYMBOL, None, "drill", "operator:ann", _HOLD_SET)
    assert [backend.outside.get(key) for key in _KEYS] == [b"1", b"drill", b"operator:ann"]
    assert {backend.outside.pttl(key) for key in _KEYS} == {-1}
    assert (await backend.store.operator_view(SYMBOL)).hold == _OWN
    assert not await backend.store.set_hold(SYMBOL, None, "again", "operator:bob", _HOLD_SET)
    assert await backend.store.lift_hold(SYMBOL, _OWN, _CLEARED)
    assert [backend.outside.get(key) for key in _KEYS] == [None] * 3
    assert [fields[b"event"] for _, fields in backend.outside.xrange(KEYS.events)] == [
        b"HOLD_SET", b"HOLD_CLEARED",
    ]  # fmt: skip


async def test_the_rest_of_a_hold_that_has_ended_is_no_hold(backend: Backend) -> None:
    backend.outside.set(EXECUTOR.hold_sig(SYMBOL), "exec:p33-1")
    assert (await backend.store.operator_view(SYMBOL)).hold is None
    assert await backend.store.set_hold(SYMBOL, None, "drill", "operator:ann", _HOLD_SET)
    assert (await backend.store.operator_view(SYMBOL)).hold == _OWN


async def test_a_hold_that_is_anothers_by_now_is_neither_replaced_nor_lifted(backend: Backend) -> None:
    seen = hold_of_another(backend)
    hold_of_another(backend, reason="execution_unknown:plan-2")
    before = everything(backend.outside)
    assert not await backend.store.set_hold(SYMBOL, seen, "drill", "operator:ann", _HOLD_SET)
    assert not await backend.store.lift_hold(SYMBOL, seen, _CLEARED)
    assert not await backend.store.lift_hold(Symbol("ETHUSDT"), seen, _CLEARED)
    assert everything(backend.outside) == before


async def test_a_hold_of_another_is_replaced_and_lifted_as_it_was_seen(backend: Backend) -> None:
    seen = hold_of_another(backend)
    assert await backend.store.set_hold(SYMBOL, seen, "drill", "operator:ann", _HOLD_SET)
    assert (await backend.store.operator_view(SYMBOL)).hold == _OWN
    seen = hold_of_another(backend)
    assert await backend.store.lift_hold(SYMBOL, seen, _CLEARED)
    assert (await backend.store.operator_view(SYMBOL)).hold is None


@pytest.mark.parametrize("key", [*_KEYS])
async def test_a_hold_of_a_wrong_type_is_seen_and_lifted(backend: Backend, key: str) -> None:
    hold_of_another(backend)
    backend.outside.delete(key)
    backend.outside.hset(key, {"a": "b"})
    seen = (await backend.store.operator_view(SYMBOL)).hold
    assert seen is not None
    assert b"!" in seen
    assert await backend.store.lift_hold(SYMBOL, seen, _CLEARED)
    assert [backend.outside.kind(each) for each in _KEYS] == ["none"] * 3


async def test_events_of_a_wrong_type_are_named_and_nothing_changed(backend: Backend) -> None:
    backend.outside.set(GOVERNOR.events, "x")
    backend.outside.set(KEYS.events, "x")
    before = everything(backend.outside)
    with pytest.raises(WrongTypeError, match=GOVERNOR.events):
        await backend.store.set_trading_state(None, "HALTED", _HALTED)
    with pytest.raises(WrongTypeError, match=KEYS.events):
        await backend.store.set_hold(SYMBOL, None, "drill", "operator:ann", _HOLD_SET)
    assert everything(backend.outside) == before


async def test_a_hold_without_an_owner_is_not_set(backend: Backend) -> None:
    with pytest.raises(ValueError, match="owner"):
        await backend.store.set_hold(SYMBOL, None, "drill", "", _HOLD_SET)


async def test_a_full_redis_changes_nothing_for_an_operator(real: RedisBackend) -> None:
    seen = hold_of_another(real)
    real.plain.call("CONFIG", "SET", "maxmemory", 1)
    before = everything(real.outside)
    with pytest.raises(StoreUnavailableError):
        await real.store.set_trading_state(None, "HALTED", _HALTED)
    for changed in (
        real.store.set_hold(SYMBOL, seen, "drill", "operator:ann", _HOLD_SET),
        real.store.lift_hold(SYMBOL, seen, _CLEARED),
    ):
        with pytest.raises(StoreUnavailableError):
            await changed
    assert everything(real.outside) == before


@pytest.mark.parametrize("key", [TRADING_STATE, *_KEYS, GOVERNOR.events, KEYS.events])
async def test_a_right_that_an_operator_lacks_leaves_nothing_half_done(real: RedisBackend, key: str) -> None:
    info: Any = real.plain.client.info("server")
    if int(str(info["redis_version"]).split(".")[0]) < 7:
        pytest.skip("Redis 6.2 shows a script no rights")
    seen = hold_of_another(real)
    others = [f"~{each}" for each in (TRADING_STATE, *_KEYS, GOVERNOR.events, KEYS.events) if each != key]
    real.plain.call("ACL", "SETUSER", "ann", "on", ">secret", "resetkeys", "+@all", *others)
    url = real.server.url.replace("unix://", "unix://ann:secret@")
    store = RedisStore(url, keys=KEYS, consumer="ann", timeout_sec=PATIENCE_SEC)
    before = everything(real.outside)
    lacking = 0
    changes: list[Callable[[], Awaitable[bool]]] = [
        lambda: store.set_trading_state(None, "HALTED", _HALTED),
        lambda: store.set_hold(SYMBOL, seen, "drill", "operator:ann", _HOLD_SET),
        lambda: store.lift_hold(SYMBOL, seen, _CLEARED),
    ]
    for change in changes:
        try:
            await change()
        except WrongRightsError:
            lacking += 1
            assert everything(real.outside) == before
        before = everything(real.outside)
    assert lacking
    await store.close()
