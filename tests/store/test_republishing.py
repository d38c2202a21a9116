"""Dead letters that are published again: once, and only where what was seen still holds."""

from __future__ import annotations

from typing import Any

import pytest

from brain.identifiers import EntryId, OrderId, PlanId, Symbol
from store.errors import StoreUnavailableError, WrongRightsError, WrongTypeError
from store.operator_records import Republication
from store.redis.store import RedisStore
from tests.store.backends import KEYS, PATIENCE_SEC, Backend, RedisBackend, everything

ENTRY = EntryId("1760000000000-0")
PLAN, BTC, ORDER = PlanId("plan-1"), Symbol("BTCUSDT"), OrderId("1001")
OF_PLAN = Republication("apply.plan", ENTRY, ("plan_id", PLAN), "by ann", undecided=PLAN)
OF_RESULT = Republication(
    "apply.result", ENTRY, ("plan_id", PLAN, "executed", "True"), "by ann", symbol=BTC,
    orders=((ORDER, "0|1760000000000"),),
)  # fmt: skip


def remember(backend: Backend, quantity: str = "0") -> None:
    backend.outside.hset(KEYS.order_memory(BTC), {ORDER: f"{quantity}|1760000000000"})


async def test_a_letter_is_read_by_its_own_id_with_the_mark_of_its_original(backend: Backend) -> None:
    letter_id = backend.outside.xadd(KEYS.dead_plans, {"entry_id": ENTRY, "error": "x", "plan_id": PLAN})
    view = await backend.store.letter_view("apply.plan", letter_id)
    assert view is not None
    assert (view.fields[b"plan_id"], view.republished) == (b"plan-1", None)
    assert abs(view.now_ms - await backend.store.redis_now_ms()) < 60_000
    assert await backend.store.republish(OF_PLAN)
    view = await backend.store.letter_view("apply.plan", letter_id)
    assert view is not None and view.republished == b"by ann"
    assert await backend.store.letter_view("apply.plan", EntryId("5-0")) is None
    assert await backend.store.letter_view("apply.result", letter_id) is None
    backend.outside.delete(KEYS.republished)
    backend.outside.set(KEYS.republished, "x")
    view = await backend.store.letter_view("apply.plan", letter_id)
    assert view is not None and view.republished == b"!"


@pytest.mark.parametrize(("wanted", "stream"), [(OF_PLAN, KEYS.plans), (OF_RESULT, KEYS.results)])
async def test_an_original_is_published_once(backend: Backend, wanted: Republication, stream: str) -> None:
    remember(backend)
    added = await backend.store.republish(wanted)
    [(entry_id, fields)] = backend.outside.xrange(stream)
    assert entry_id == added
    assert [text.decode() for pair in fields.items() for text in pair] == list(wanted.fields)
    before = everything(backend.outside)
    assert await backend.store.republish(wanted) is None
    assert everything(backend.outside) == before


async def test_a_plan_that_is_decided_by_now_is_not_published(backend: Backend) -> None:
    backend.outside.set(KEYS.plan_mark(PLAN), "D|LONG|close|SELL|0", ttl_ms=60_000)
    before = everything(backend.outside)
    assert await backend.store.republish(OF_PLAN) is None
    assert everything(backend.outside) == before


@pytest.mark.parametrize("quantity", [None, "0.3", "\x00"])
async def test_a_result_of_which_the_memory_is_another_by_now_is_not_published(
    backend: Backend, quantity: str | None
) -> None:
    if quantity is not None:
        remember(backend, quantity)
    before = everything(backend.outside)
    assert await backend.store.republish(OF_RESULT) is None
    assert everything(backend.outside) == before


async def test_an_original_is_published_until_its_latest_time(backend: Backend) -> None:
    now_ms = await backend.store.redis_now_ms()
    assert await backend.store.republish(OF_PLAN._replace(latest_ms=now_ms - 1)) is None
    assert not backend.outside.keys()
    assert await backend.store.republish(OF_PLAN._replace(latest_ms=now_ms + 60_000))


@pytest.mark.parametrize("key", [KEYS.results, KEYS.republished, KEYS.order_memory(BTC)])
async def test_a_key_of_a_wrong_type_is_named_and_nothing_published(backend: Backend, key: str) -> None:
    backend.outside.set(key, "x")
    before = everything(backend.outside)
    with pytest.raises(WrongTypeError, match=key):
        await backend.store.republish(OF_RESULT)
    assert everything(backend.outside) == before


async def test_acts_are_appended_to_a_bounded_stream(backend: Backend) -> None:
    await backend.store.note_act(("event", "OPERATOR_ACT", "by", "ann"))
    assert [dict(fields) for _, fields in backend.outside.xrange(KEYS.own_events)] == [
        {b"event": b"OPERATOR_ACT", b"by": b"ann"}
    ]


async def test_a_full_redis_publishes_nothing(real: RedisBackend) -> None:
    remember(real)
    real.plain.call("CONFIG", "SET", "maxmemory", 1)
    before = everything(real.outside)
    with pytest.raises(StoreUnavailableError):
        await real.store.republish(OF_RESULT)
    assert everything(real.outside) == before


@pytest.mark.parametrize("key", [KEYS.results, KEYS.republished])
async def test_a_right_that_is_lacking_leaves_nothing_half_done(real: RedisBackend, key: str) -> None:
    info: Any = real.plain.client.info("server")
    if int(str(info["redis_version"]).split(".")[0]) < 7:
        pytest.skip("Redis 6.2 shows a script no rights")
    remember(real)
    others = [f"~{each}" for each in (KEYS.results, KEYS.republished, KEYS.order_memory(BTC)) if each != key]
    real.plain.call("ACL", "SETUSER", "ann", "on", ">secret", "resetkeys", "+@all", *others)
    url = real.server.url.replace("unix://", "unix://ann:secret@")
    store = RedisStore(url, keys=KEYS, consumer="ann", timeout_sec=PATIENCE_SEC)
    before = everything(real.outside)
    with pytest.raises(WrongRightsError):
        await store.republish(OF_RESULT)
    assert everything(real.outside) == before
    await store.close()
