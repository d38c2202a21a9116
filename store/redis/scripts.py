"""Runner of the Lua scripts by SHA1; a script's text is sent only when Redis does not have it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import resources
from typing import Any

from store.errors import StoreError, StoreRefusedError, UnknownScriptError, WrongRightsError
from store.redis.client import RedisLink

#: Texts that are prepended to each script with one of these calls of their functions.
_PRELUDES = {
    "_rights": (b" refused(",),
    "_acknowledge": (b" acknowledge(", b"note_acknowledged("),
    "_reading": (b"text_of(", b"is_free_for(", b"joined("),
    "_governor": (b"date_of(", b"list_executions("),
    "_booking": (b"remember_orders(", b"found = text("),
    "_reconcile": (b"standing_hold(", b"string_at("),
}


def script_texts() -> dict[str, bytes]:
    """Return the scripts of `store/scripts` by name, as they are sent."""
    files = resources.files("store.scripts").iterdir()
    texts = {
        file.name.removesuffix(".lua"): file.read_bytes() for file in files if file.name.endswith(".lua")
    }
    preludes = [(texts.pop(name), calls) for name, calls in _PRELUDES.items()]
    return {
        name: b"".join(
            [*(prelude for prelude, calls in preludes if any(call in text for call in calls)), text]
        )
        for name, text in texts.items()
    }


class ScriptRunner:
    """Runner of the scripts of `store/scripts`, on one link."""

    def __init__(self, link: RedisLink) -> None:
        self._link = link
        self._texts = script_texts()
        self._digests = {
            name: hashlib.sha1(text, usedforsecurity=False).hexdigest() for name, text in self._texts.items()
        }

    async def run(self, name: str, *arguments: bytes | str | int, losses: int | None = None) -> Any:
        """Run script `name`; send its text when Redis does not have it (restart, flush).

        `losses`: as of `RedisLink.command`.
        """
        with _naming(name):
            try:
                return await self._link.command("EVALSHA", self._digests[name], 0, *arguments, losses=losses)
            except UnknownScriptError:
                return await self._link.command("EVAL", self._texts[name], 0, *arguments, losses=losses)

    async def run_each(
        self, name: str, calls: Sequence[tuple[bytes | str | int, ...]], *, losses: int | None = None
    ) -> list[Any]:
        """Run script `name` for each of the arguments, in order, in one round trip.

        Returns a reply or a StoreRefusedError for each; raises other errors. `losses`: as of
        `RedisLink.command`.
        """
        with _naming(name):
            answers = await self._link.pipeline(
                [("EVALSHA", self._digests[name], 0, *call) for call in calls], losses=losses
            )
        for number, answer in enumerate(answers):
            if isinstance(answer, UnknownScriptError):
                try:
                    answers[number] = await self.run(name, *calls[number], losses=losses)
                except StoreRefusedError as refusal:
                    answers[number] = refusal
            elif isinstance(answer, StoreError) and not isinstance(answer, StoreRefusedError):
                raise answer
        return answers


@contextmanager
def _naming(script: str) -> Iterator[None]:
    """Add the script's name to the text of a WrongRightsError."""
    try:
        yield
    except WrongRightsError as error:
        raise WrongRightsError(f"{error} (script {script})") from error
