"""The universe's keys on a real Redis: read by the guard, written by the publisher."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from brain.identifiers import FencingToken
from store.keys import Keys, UniverseNames
from store.redis.client import RedisLink
from store.redis.scripts import ScriptRunner
from store.universe_records import PublishedUniverse, UniverseKeys, UniverseWrite

_pack = msgspec.msgpack.encode


class RedisUniverse:
    """Part of `store.redis.store.RedisStore`."""

    _keys: Keys
    _writes: RedisLink
    _scripts: ScriptRunner

    async def universe(self) -> UniverseKeys:
        active, meta, last_ok = await self._writes.pipeline(
            [
                ("GET", self._keys.universe_active),
                ("HGETALL", self._keys.universe_meta),
                ("GET", self._keys.universe_last_ok),
            ]
        )
        return UniverseKeys(
            active if isinstance(active, bytes) else None,
            meta if isinstance(meta, Mapping) and meta else None,
            last_ok if isinstance(last_ok, bytes) else None,
        )

    async def published_universe(self, *, shadow: bool) -> PublishedUniverse:
        base = UniverseNames(self._keys.prefix, shadow=shadow).base
        active, last_ok, meta, closing, volumes = await self._scripts.run("published_universe", base)
        fields = dict(zip(meta[::2], meta[1::2], strict=True))
        return PublishedUniverse(active, last_ok, fields or None, closing, volumes)

    async def publish_universe(
        self, fence: FencingToken, write: UniverseWrite, *, rests_on: bytes | None, shadow: bool
    ) -> bool:
        names = UniverseNames(self._keys.prefix, shadow=shadow)
        written = await self._scripts.run(
            "publish_universe", self._keys.prefix, fence, names.base, names.events,
            b"" if rests_on is None else rests_on, _pack(write), names.audit,
        )  # fmt: skip
        return bool(written)
