"""The child processes of the demo: the simulated exchange and the daemon, as a user would start them."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import msgspec
import trio

API_KEY = "simulator-api-key"
API_SECRET = "simulator-api-secret"  # noqa: S105 - opens nothing but the simulator
COOLDOWN_SEC = 2

_SOURCES = Path(__file__).parents[2]
_INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR")
_START_SEC = 30.0
_STOP_SEC = 6.0
_SAY_SEC = 4.0
_LOOK_SEC = 0.05


class ChildFailedError(Exception):
    """A child process ended by itself, or did not get ready; with the last lines that it wrote."""


class ExchangeAddresses(msgspec.Struct, frozen=True):
    """The first line that the simulator prints."""

    rest_url: str
    ws_url: str


class Child:
    """A running process that writes to a log file of its own."""

    def __init__(self, name: str, process: trio.Process, log_path: Path) -> None:
        self.name = name
        self._process = process
        self._log_path = log_path

    async def ended(self) -> ChildFailedError:
        """Wait until the process ends by itself; return that as a failure."""
        await self._process.wait()
        return self.failure(f"ended with {self._process.returncode}")

    def failure(self, what: str) -> ChildFailedError:
        """Build the error: `what` went wrong with the process, and the end of its log."""
        lines = self._log_path.read_text(errors="replace").splitlines()[-15:]
        return ChildFailedError("\n  ".join([f"{self.name} {what}", *lines]))

    async def read_line(self) -> bytes:
        """Return the first line that the process prints. Raises ChildFailedError."""
        line = b""
        pipe = self._process.stdout
        if pipe is None:
            raise RuntimeError("started without a pipe")
        while not line.endswith(b"\n"):
            more = await pipe.receive_some()
            if not more:
                raise await self.ended()
            line += more
        return line

    async def wait_until_ready(
        self, http: httpx.AsyncClient, url: str, *, say: Callable[[str], None]
    ) -> None:
        """Wait until `url` answers 200; `say` the reasons against it every 4 s. Raises ChildFailedError."""
        reasons = "no answer"
        say_at_sec = trio.current_time() + _SAY_SEC
        with trio.move_on_after(_START_SEC):
            while self._process.poll() is None:
                try:
                    answer = await http.get(url)
                except httpx.TransportError as error:
                    reasons = str(error)
                else:
                    if answer.status_code == httpx.codes.OK:
                        return
                    reasons = answer.text
                if trio.current_time() >= say_at_sec:
                    say(f"Waiting for {self.name}: {reasons}")
                    say_at_sec += _SAY_SEC
                await trio.sleep(_LOOK_SEC)
            raise await self.ended()
        raise self.failure(f"is not ready after {_START_SEC:g} s: {reasons}")

    async def stop(self) -> int:
        """Send SIGTERM, and SIGKILL to a process that has not ended within 6 s; return its exit code."""
        if self._process.poll() is None:
            self._process.terminate()
            with trio.move_on_after(_STOP_SEC):
                await self._process.wait()
            if self._process.poll() is None:
                self._process.kill()
        return await self._process.wait()


@asynccontextmanager
async def running_exchange(
    folder: Path, *, latency_ms: float
) -> AsyncIterator[tuple[Child, ExchangeAddresses]]:
    """Run the simulated exchange as a process for the length of a block. Raises ChildFailedError."""
    arguments = ("simulate-exchange", "--latency-ms", f"{latency_ms:g}")
    async with _child("the simulated exchange", arguments, {}, folder / "exchange.log", piped=True) as child:
        line = b""
        with trio.move_on_after(_START_SEC):
            line = await child.read_line()
        if not line:
            raise child.failure(f"did not start within {_START_SEC:g} s")
        yield child, msgspec.json.decode(line, type=ExchangeAddresses)


@asynccontextmanager
async def running_daemon(
    folder: Path, redis_url: str, exchange: ExchangeAddresses
) -> AsyncIterator[tuple[Child, str]]:
    """Run the daemon as a process for the length of a block; yield it with the address of its HTTP side."""
    port = free_port()
    settings = {
        "REDIS_URL": redis_url,
        "BINANCE_REST_URL": exchange.rest_url,
        "BINANCE_WS_URL": exchange.ws_url,
        "BINANCE_API_KEY": API_KEY,
        "BINANCE_API_SECRET": API_SECRET,
        "P33_COOLDOWN_SEC": str(COOLDOWN_SEC),
        "P33_METRICS_PORT": str(port),
        "P33_INSTANCE": "demo",
    }
    async with _child("the daemon", ("run",), settings, folder / "daemon.log") as child:
        yield child, f"http://127.0.0.1:{port}"


@asynccontextmanager
async def _child(
    name: str, arguments: tuple[str, ...], settings: Mapping[str, str], log_path: Path, *, piped: bool = False
) -> AsyncIterator[Child]:
    """Run `python -m commands …` with a new environment, which inherits the path alone.

    It has a session of its own, so that a Ctrl-C in the terminal reaches the demo alone, which then stops it.
    """
    with log_path.open("ab") as log:
        process = await trio.lowlevel.open_process(
            [sys.executable, "-m", "commands", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if piped else log,
            stderr=log,
            env={**inherited_environ(), "PYTHONPATH": str(_SOURCES), **settings},
            start_new_session=True,
        )
    child = Child(name, process, log_path)
    try:
        yield child
    finally:
        with trio.CancelScope(shield=True):
            await child.stop()


def inherited_environ() -> dict[str, str]:
    """Return the part of this process's environment that children get."""
    return {variable: os.environ[variable] for variable in _INHERITED if variable in os.environ}


def free_port() -> int:
    """Return a free TCP port on loopback."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
