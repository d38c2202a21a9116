from __future__ import annotations

from functools import partial

import pytest
import trio

from commands.check.redis_server import reach
from commands.clients.redis_reading import reading
from settings import SettingsError
from tests.commands.recording import Recording
from tests.integration.waiting import until
from tests.store.fake_sentinels import fake_sentinels, naming, url_of
from tests.store.redis.links import listening


async def test_a_long_stream_is_read_page_by_page_each_entry_once_the_newest_first(
    service: Recording,
) -> None:
    pipeline = service.redis.pipeline()
    for number in range(1, 1501):
        # Several entries of one millisecond stand on both sides of a page's end.
        pipeline.xadd("stream", {"number": number}, id=f"{number // 7 + 1}-{number}")
    pipeline.execute()
    with reading(service.environ) as redis:
        numbers = [int(fields[b"number"]) for _, fields in redis.newest_first("stream")]
        since = [entry_id for entry_id, _ in redis.newest_first("stream", since_ms=215)]
        assert list(redis.newest_first("no stream")) == []
    assert numbers == list(range(1500, 0, -1))
    assert since == ["215-1500", "215-1499", "215-1498"]


async def test_neither_credentials_nor_an_exchange_are_needed(service: Recording) -> None:
    with reading(service.environ) as redis:
        assert redis.now_ms() > 1_700_000_000_000
        assert redis.keys.audit == "quantum:stream:permit.audit"


def test_a_wrong_setting_is_refused_as_the_daemon_would() -> None:
    with pytest.raises(SettingsError, match="REDIS_PORT"), reading({"REDIS_PORT": "many"}):
        pass


def test_an_address_is_shown_without_its_password() -> None:
    with reading({"REDIS_URL": "redis://:secret@localhost:6379/0"}) as redis:
        assert redis.address == "redis://***@localhost:6379/0"


def checked(url: str) -> str:
    """Return what `check` advises about Redis at an address."""
    with reading({"REDIS_URL": url}) as redis:
        return reach(redis).fix


LOADING = b"-LOADING Redis is loading the dataset in memory\r\n"


async def test_a_primary_that_is_loading_is_to_be_waited_for() -> None:
    async with listening(LOADING) as url:
        assert "wait" in await trio.to_thread.run_sync(partial(checked, url))


async def test_the_connection_to_a_sentinel_is_closed_in_the_end() -> None:
    async with listening(LOADING) as url:
        port = int(url.rpartition(":")[2].partition("/")[0])
        async with fake_sentinels(naming(port)) as sentinels:
            await trio.to_thread.run_sync(partial(checked, url_of(sentinels)))
            assert sentinels[0].most_connections == 1
            await until(lambda: not sentinels[0].connections, "it is closed")
