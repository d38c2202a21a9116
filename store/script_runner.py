"""Runs the scripts by their SHA1, loading one only when Redis does not know it (any more)."""

from __future__ import annotations

import hashlib
from importlib import resources
from typing import Any

import redis.exceptions as redis_errors

from store.errors import StoreRefusedError
from store.redis_link import RedisLink


class ScriptRunner:
    """The scripts of `store/scripts`, on one link."""

    def __init__(self, link: RedisLink) -> None:
        self._link = link
        folder = resources.files("store.scripts")
        self._texts = {
            file.name.removesuffix(".lua"): file.read_bytes()
            for file in folder.iterdir()
            if file.name.endswith(".lua")
        }
        self._digests = {
            name: hashlib.sha1(text, usedforsecurity=False).hexdigest() for name, text in self._texts.items()
        }

    async def run(self, name: str, *arguments: bytes | str | int) -> Any:
        """Run script `name`. A script that Redis has forgotten (restart, flush) is sent again."""
        try:
            return await self._link.command("EVALSHA", self._digests[name], 0, *arguments)
        except StoreRefusedError as error:
            if not isinstance(error.__cause__, redis_errors.NoScriptError):
                raise
            return await self._link.command("EVAL", self._texts[name], 0, *arguments)
