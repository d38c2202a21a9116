"""The universe is written as one publication, on the twin and on every redis-server."""

from __future__ import annotations

import threading
from itertools import count, groupby
from operator import itemgetter

import msgspec
import pytest
import trio

from store.errors import WrongTypeError
from store.keys import UniverseNames
from store.universe_records import PublishedUniverse, UniverseWrite
from tests.background import background
from tests.store.backends import KEYS, Backend, RedisBackend, everything
from tests.store.redis_servers import RedisServer

NAMES = UniverseNames(KEYS.prefix, shadow=False)
SHADOW = UniverseNames(KEYS.prefix, shadow=True)
LIFE_MS = 900_000
MARGIN_MS = 10_000


def publication(asof: int) -> UniverseWrite:
    """A whole publication, in which everything tells its time."""
    text = f'{{"asof_epoch": {asof}, "symbols": ["S{asof}USDT"]}}'
    return UniverseWrite(
        active=text,
        active_ttl_ms=LIFE_MS,
        last_ok=text,
        closing=f'{{"S{asof}USDT": {asof}}}',
        volumes=f'{{"asof_epoch": {asof}}}',
        volumes_ttl_ms=LIFE_MS,
        meta=("asof_epoch", str(asof), "count", "1", "stale", "0"),
        events=(("event", "LISTED", "symbol", f"S{asof}USDT", "asof_epoch", str(asof)),),
        audit=("outcome", "published", "record", f'{{"asof": {asof}}}'),
    )


PUBLICATION = publication(1_760_000_000)


async def test_a_publication_is_found_as_it_was_written(leased: Backend) -> None:
    store, outside = leased.store, leased.outside
    assert await store.published_universe(shadow=False) == PublishedUniverse(None, None, None, None, None)
    assert await store.publish_universe(leased.fence, PUBLICATION, rests_on=None, shadow=False)
    found = await store.published_universe(shadow=False)
    text = PUBLICATION.active.encode()
    assert found == PublishedUniverse(
        text,
        text,
        {b"asof_epoch": b"1760000000", b"count": b"1", b"stale": b"0"},
        PUBLICATION.closing.encode(),
        PUBLICATION.volumes.encode(),
    )
    assert outside.get(NAMES.volumes) == PUBLICATION.volumes.encode()
    assert [fields[b"event"] for _, fields in outside.xrange(NAMES.events)] == [b"LISTED"]
    [(_, audited)] = outside.xrange(NAMES.audit)
    assert audited == {b"outcome": b"published", b"record": b'{"asof": 1760000000}'}
    for key in (NAMES.active, NAMES.volumes):
        assert LIFE_MS - MARGIN_MS < outside.pttl(key) <= LIFE_MS
    assert {outside.pttl(key) for key in (NAMES.last_ok, NAMES.meta, NAMES.closing, NAMES.events)} == {-1}


async def test_empty_texts_leave_their_keys_and_prolong_the_life_of_the_active_list(leased: Backend) -> None:
    store, outside = leased.store, leased.outside
    await store.publish_universe(leased.fence, PUBLICATION, rests_on=None, shadow=False)
    outside.pexpire(NAMES.active, MARGIN_MS)
    before = everything(outside)
    mark = UniverseWrite(active_ttl_ms=LIFE_MS, meta=("stale", "1", "error", "fetch_failed: x"))
    rests_on = PUBLICATION.last_ok.encode()
    assert await store.publish_universe(leased.fence, mark, rests_on=rests_on, shadow=False)
    assert outside.pttl(NAMES.active) > LIFE_MS - MARGIN_MS
    assert outside.hgetall(NAMES.meta) == {
        b"asof_epoch": b"1760000000",
        b"count": b"1",
        b"stale": b"1",
        b"error": b"fetch_failed: x",
    }
    after = everything(outside)
    assert {key for key in after if after[key] != before.get(key)} == {NAMES.meta}


async def test_a_life_of_no_time_leaves_the_active_list_the_life_that_it_has(leased: Backend) -> None:
    store, outside = leased.store, leased.outside
    await store.publish_universe(leased.fence, PUBLICATION, rests_on=None, shadow=False)
    outside.pexpire(NAMES.active, MARGIN_MS)
    mark = UniverseWrite(active_ttl_ms=0, meta=("stale", "1"))
    rests_on = PUBLICATION.last_ok.encode()
    assert await store.publish_universe(leased.fence, mark, rests_on=rests_on, shadow=False)
    assert 0 < outside.pttl(NAMES.active) <= MARGIN_MS
    assert outside.get(NAMES.active) == PUBLICATION.active.encode()


async def test_nothing_is_written_where_the_last_good_list_has_changed(leased: Backend) -> None:
    store = leased.store
    first, second = publication(1), publication(2)
    assert await store.publish_universe(leased.fence, first, rests_on=None, shadow=False)
    before = everything(leased.outside)
    for rests_on in (None, b"", b"another"):
        assert not await store.publish_universe(leased.fence, second, rests_on=rests_on, shadow=False)
    assert everything(leased.outside) == before
    assert await store.publish_universe(leased.fence, second, rests_on=first.last_ok.encode(), shadow=False)


async def test_the_shadow_has_keys_of_its_own_and_touches_no_others(leased: Backend) -> None:
    store, outside = leased.store, leased.outside
    before = set(outside.keys())
    assert await store.publish_universe(leased.fence, PUBLICATION, rests_on=None, shadow=True)
    written = set(outside.keys()) - before
    assert written == {
        SHADOW.active,
        SHADOW.last_ok,
        SHADOW.meta,
        SHADOW.volumes,
        SHADOW.closing,
        SHADOW.events,
        SHADOW.audit,
    }
    assert all(key.startswith("q:universe:shadow:") for key in written)
    assert await store.published_universe(shadow=False) == PublishedUniverse(None, None, None, None, None)
    assert (await store.published_universe(shadow=True)).active == PUBLICATION.active.encode()


@pytest.mark.parametrize("key", ["active", "last_ok", "meta", "volumes", "closing", "events", "audit"])
async def test_a_key_of_a_wrong_type_refuses_the_whole_publication(leased: Backend, key: str) -> None:
    leased.outside.zadd(getattr(NAMES, key), {"x": 1})
    before = everything(leased.outside)
    with pytest.raises(WrongTypeError, match=key):
        await leased.store.publish_universe(leased.fence, PUBLICATION, rests_on=None, shadow=False)
    assert everything(leased.outside) == before


def look_at(server: RedisServer, looks: int) -> set[bytes]:
    """Look so often at the three keys, 20 looks in a round trip; the times that were seen."""
    asofs = set[bytes]()
    with server.client() as client:
        for _ in range(0, looks, 20):
            pipeline = client.pipeline(transaction=False)
            for _ in range(20):
                pipeline.get(NAMES.active)
                pipeline.hget(NAMES.meta, "asof_epoch")
                pipeline.get(NAMES.last_ok)
            answers = pipeline.execute()
            for active, asof, last_ok in zip(answers[::3], answers[1::3], answers[2::3], strict=True):
                assert active == last_ok
                assert b'"asof_epoch": %b,' % asof in active
                asofs.add(asof)
    return asofs


async def test_ten_thousand_looks_never_find_two_publications_mixed(real: RedisBackend) -> None:
    fence = await real.take_lease()

    async def publish(first: int) -> None:
        for asof in count(first):
            rests_on = publication(asof - 1).last_ok.encode() if asof > 1 else None
            write = publication(asof)
            assert await real.store.publish_universe(fence, write, rests_on=rests_on, shadow=False)

    assert await real.store.publish_universe(fence, publication(1), rests_on=None, shadow=False)
    async with background(publish, 2):
        asofs = await trio.to_thread.run_sync(look_at, real.server, 10_000)
    assert len(asofs) > 50


def commands_until(server: RedisServer, last: str, watching: threading.Event) -> list[tuple[bool, str]]:
    """Return the commands that run until one contains `last`, each with whether a script runs it."""
    seen: list[tuple[bool, str]] = []
    with server.client() as client, client.monitor() as monitor:
        watching.set()
        while not seen or last not in seen[-1][1]:
            found = monitor.next_command()
            seen.append((found["client_type"] == "lua", found["command"]))
    return seen


async def test_no_command_of_a_reader_comes_between_those_of_a_publication(real: RedisBackend) -> None:
    fence, watching, seen = await real.take_lease(), threading.Event(), list[tuple[bool, str]]()
    assert await real.store.publish_universe(fence, publication(1), rests_on=None, shadow=False)

    async def watch() -> None:
        seen.extend(await trio.to_thread.run_sync(commands_until, real.server, "the end", watching))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch)
        await trio.to_thread.run_sync(watching.wait)
        async with trio.open_nursery() as readers:
            readers.start_soon(trio.to_thread.run_sync, look_at, real.server, 2_000)
            for asof in range(2, 102):
                rests_on = publication(asof - 1).last_ok.encode()
                write = publication(asof)
                assert await real.store.publish_universe(fence, write, rests_on=rests_on, shadow=False)
        real.plain.call("ECHO", "the end")
    by_scripts = [[text for _, text in run] for inside, run in groupby(seen, itemgetter(0)) if inside]
    written = [
        [
            name
            for name in (NAMES.active, NAMES.last_ok, NAMES.meta)
            if any(_writes(each, name) for each in run)
        ]
        for run in by_scripts
    ]
    assert [names for names in written if names] == [[NAMES.active, NAMES.last_ok, NAMES.meta]] * 100
    assert sum(not inside and NAMES.last_ok in text for inside, text in seen) > 1_000


def _writes(command: str, name: str) -> bool:
    word, _, rest = command.partition(" ")
    return word.lower() in ("set", "hset") and rest.split(" ")[0] == name


async def test_a_full_server_refuses_the_whole_publication(real: RedisBackend) -> None:
    fence = await real.take_lease()
    assert await real.store.publish_universe(fence, publication(1), rests_on=None, shadow=False)
    before = everything(real.outside)
    real.plain.call("CONFIG", "SET", "maxmemory", "1")
    rests_on = publication(1).last_ok.encode()
    second = msgspec.structs.replace(publication(2), events=())
    for write in (publication(2), second, UniverseWrite(active_ttl_ms=1, meta=("stale", "1"))):
        with pytest.raises(Exception, match="OOM"):
            await real.store.publish_universe(fence, write, rests_on=rests_on, shadow=False)
    real.plain.call("CONFIG", "SET", "maxmemory", "0")
    assert everything(real.outside) == before
