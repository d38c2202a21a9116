"""A reader who pastes a document's examples, in order, into one interpreter and one shell."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from tests.docs.documents import ROOT, Block, blocks
from tests.integration.waiting import until

_PASTED = "pasted"
#: A block that could not be compiled prints its error without a traceback.
_FAILED = re.compile(r"^(Traceback|\w*Error\b)", re.M)


class Reader:
    """An interactive interpreter, and what it printed so far."""

    def __init__(self, interpreter: trio.Process, environ: Mapping[str, str], printed: Path) -> None:
        self._interpreter = interpreter
        self._environ = environ
        self._printed = printed

    async def paste(self, document: str, block: Block, within_sec: float) -> None:
        """Paste an example and wait until it has run. AssertionError has what was printed."""
        where = f"{document}:{block.line}"
        before = len(self._printed.read_text())
        if block.language == "sh":
            shell = ["bash", "-euo", "pipefail", "-c", block.text]
            await trio.run_process(shell, cwd=ROOT, env=self._environ)
            return
        assert self._interpreter.stdin is not None
        # The empty line ends a function or loop, as Return does.
        await self._interpreter.stdin.send_all(f"{block.text}\nprint('{_PASTED}', '{where}')\n".encode())

        def printed() -> str:
            return self._printed.read_text()[before:]

        await until(lambda: f"{_PASTED} {where}" in printed(), f"{where}: {printed()}", within_sec)
        assert not _FAILED.search(printed()), f"{where}: {printed()}"


@asynccontextmanager
async def reader(environ: Mapping[str, str], folder: Path) -> AsyncIterator[Reader]:
    """Start an interpreter in an environment of its own, which is killed at the end."""
    path = folder / "printed"
    with path.open("wb") as output:
        interpreter = await trio.lowlevel.open_process(
            [sys.executable, "-i", "-q", "-u"],
            cwd=folder,
            env=dict(environ),
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
        )
    try:
        yield Reader(interpreter, environ, path)
    finally:
        with trio.CancelScope(shield=True):
            interpreter.kill()
            await interpreter.wait()


def examples(document: str) -> list[Block]:
    """The examples that a reader can paste."""
    return [block for block in blocks(document) if block.language in ("python", "sh")]
