"""Runs the scripts by their SHA1, loading one only when Redis does not know it (any more)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from importlib import resources
from typing import Any

import redis.exceptions as redis_errors

from store.errors import StoreRefusedError
from store.redis_link import RedisLink, translate


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

    async def run_each(self, name: str, calls: Sequence[tuple[bytes | str | int, ...]]) -> list[Any]:
        """Run script `name` for each of the arguments, in order, in one go: answers, or refusals as objects.

        Raises any error that is no refusal.
        """
        answers = await self._link.pipeline([("EVALSHA", self._digests[name], 0, *call) for call in calls])
        for number, answer in enumerate(answers):
            if isinstance(answer, redis_errors.NoScriptError):
                try:
                    answers[number] = await self.run(name, *calls[number])
                except StoreRefusedError as refusal:
                    answers[number] = refusal
            elif isinstance(answer, redis_errors.RedisError):
                answers[number] = error = translate(answer)
                if not isinstance(error, StoreRefusedError):
                    raise error from answer
        return answers
