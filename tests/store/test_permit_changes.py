"""Changes of permits as the server pushes them."""

from __future__ import annotations

import pytest
import trio

from store.errors import StoreRefusedError, StoreUnavailableError
from store.keys import Keys
from store.redis.asyncio_bridge import open_bridge
from store.redis.store import RedisStore
from tests.store.backends import KEYS, PATIENCE_SEC, Backend, MemoryBackend, RedisBackend
from tests.store.executions import EXECUTOR, GOVERNOR_KEY, P33_KEY, PLAN, begun, permit
from tests.store.redis.links import serving

WITHIN_SEC = 5


async def test_writing_and_deleting_a_permit_or_a_block_names_the_plan(leased: Backend) -> None:
    outside = leased.outside
    with trio.fail_after(WITHIN_SEC):
        async with leased.store.permit_changes() as changes:
            for change in (
                lambda: outside.set(GOVERNOR_KEY, "x"),
                lambda: outside.set(P33_KEY, "x"),
                lambda: outside.set(EXECUTOR.block(PLAN), "x"),
                lambda: outside.delete(GOVERNOR_KEY),
                lambda: outside.delete(P33_KEY),
            ):
                change()
                assert PLAN in await changes.next()


async def test_a_plan_id_with_colons_and_an_issuer_of_its_own_are_named(leased: Backend) -> None:
    with trio.fail_after(WITHIN_SEC):
        async with leased.store.permit_changes() as changes:
            leased.outside.set("q:permit:p26:reconclose:BTCUSDT:0a:1", "1")
            assert "reconclose:BTCUSDT:0a:1" in await changes.next()


async def test_one_who_waits_is_woken_by_the_decision_itself(leased: Backend) -> None:
    seen: list[frozenset[str]] = []
    with trio.fail_after(WITHIN_SEC):
        async with leased.store.permit_changes() as changes, trio.open_nursery() as nursery:

            async def wait() -> None:
                seen.append(await changes.next())

            nursery.start_soon(wait)
            for _ in range(5):
                await trio.lowlevel.checkpoint()
            permit(leased)
    assert PLAN in seen[0]


async def test_other_keys_wake_no_one(leased: Backend) -> None:
    async with leased.store.permit_changes() as changes:
        for key in (KEYS.permit_consumer(PLAN), KEYS.hold("BTCUSDT"), "other:permit:x", "q:permitx"):
            leased.outside.set(key, "x")
        with trio.move_on_after(0.1) as waiting:
            await changes.next()
        assert waiting.cancelled_caught


async def test_consuming_the_permits_wakes_others(leased: Backend) -> None:
    permit(leased)
    with trio.fail_after(WITHIN_SEC):
        async with leased.store.permit_changes() as changes:
            assert (await begun(leased)).verdict == "begun"
            assert PLAN in await changes.next()


async def test_an_emptied_server_says_that_any_may_have_changed(real: RedisBackend) -> None:
    with trio.fail_after(WITHIN_SEC):
        async with real.store.permit_changes() as changes:
            real.outside.flushall()
            assert await changes.next() == frozenset()


async def test_silence_is_no_loss_of_the_connection(real: RedisBackend) -> None:
    with trio.fail_after(10):
        async with real.store.permit_changes() as changes, trio.open_nursery() as nursery:

            async def write_later() -> None:
                await trio.sleep(2.5)
                real.outside.set(P33_KEY, "x")

            nursery.start_soon(write_later)
            assert PLAN in await changes.next()


async def test_a_server_that_falls_silent_is_noticed(real: RedisBackend) -> None:
    with trio.fail_after(10):
        async with real.store.permit_changes() as changes:
            real.server.freeze()
            try:
                with pytest.raises(StoreUnavailableError):
                    await changes.next()
            finally:
                real.server.thaw()


async def test_a_lost_connection_is_said(real: RedisBackend) -> None:
    with trio.fail_after(10):
        async with real.store.permit_changes() as changes:
            real.server.kill()
            with pytest.raises(StoreUnavailableError):
                await changes.next()
            with pytest.raises(StoreUnavailableError):
                await changes.next()
        with pytest.raises(StoreUnavailableError):
            async with real.store.permit_changes():
                pass
        real.server.start()
        async with real.store.permit_changes() as changes:
            real.outside.set(P33_KEY, "x")
            assert PLAN in await changes.next()


async def test_a_cancelled_wait_misses_nothing_and_leaves_no_connection_behind(real: RedisBackend) -> None:
    def clients() -> int:
        return len(real.plain.client.client_list())

    await real.store.redis_now_ms()
    before = clients()
    for _ in range(3):
        async with real.store.permit_changes() as changes:
            with trio.move_on_after(0.02):
                await changes.next()
            real.outside.set(P33_KEY, "x")
            with trio.fail_after(WITHIN_SEC):
                assert PLAN in await changes.next()
    with trio.fail_after(WITHIN_SEC):
        while clients() > before:  # noqa: ASYNC110 - a real Redis
            await trio.sleep(0.01)


async def test_a_restart_and_an_outage_of_the_twin_end_the_wait(memory: MemoryBackend) -> None:
    async with memory.store.permit_changes() as changes:
        with memory.redis.faults.outage(), pytest.raises(StoreUnavailableError):
            await changes.next()
        memory.redis.restart()
        with pytest.raises(StoreUnavailableError):
            await changes.next()


async def test_a_user_without_the_right_to_pushes_is_refused(real: RedisBackend) -> None:
    real.plain.call(
        "ACL", "SETUSER", "p33", "on", ">secret", "+@all", "-client|tracking" if newer(real) else "-client",
        "~*",
    )  # fmt: skip
    url = real.server.url.replace("unix://", "unix://p33:secret@")
    store = RedisStore(url, keys=Keys("q"), consumer="first", timeout_sec=PATIENCE_SEC)
    with pytest.raises(StoreRefusedError, match="CLIENT"):
        async with store.permit_changes():
            pass
    await store.close()


def newer(real: RedisBackend) -> bool:
    version = str(real.plain.client.info("server")["redis_version"])
    return int(version.split(".")[0]) >= 7


async def test_a_proxy_that_does_not_know_tracking_is_refused() -> None:
    async def serve(stream: trio.SocketStream) -> None:
        async with stream:
            while received := await stream.receive_some(4096):
                hello = b"%1\r\n$6\r\nserver\r\n$5\r\nredis\r\n"
                for command in received.split(b"*")[1:]:
                    refused = b"-ERR unknown command 'CLIENT'\r\n"
                    await stream.send_all(hello if b"HELLO" in command else refused)

    with trio.fail_after(WITHIN_SEC):
        async with open_bridge(), serving(serve) as url:
            store = RedisStore(url, keys=Keys("q"), consumer="first", timeout_sec=PATIENCE_SEC)
            with pytest.raises(StoreRefusedError, match="CLIENT"):
                async with store.permit_changes():
                    pass
            await store.close()
