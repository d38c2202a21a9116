"""The child processes of the demo: the simulated exchange and the daemon, as a user would start them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import msgspec
import trio

from commands.demo.machine_load import LoadMeter, Patience
from commands.status.document import Status
from monitoring.status.document import Readiness

API_KEY = "simulator-api-key"
API_SECRET = "simulator-api-secret"  # noqa: S105 - opens nothing but the simulator
COOLDOWN_SEC = 2
#: How long a child may take to end.
STOP_SEC = 6.0

_SOURCES = Path(__file__).parents[2]
_INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR")
_START_SEC = 30.0
_SAY_SEC = 4.0
_LOOK_SEC = 0.05
_READ_SEC = 0.5
_LOG_LINES = 5
_READINESS = msgspec.json.Decoder(Readiness)
_STATUS = msgspec.json.Decoder(Status)


class ChildFailedError(Exception):
    """A child process ended by itself, or did not get ready; with the last lines that it wrote."""


class ChildTooSlowError(ChildFailedError):
    """A child process did not get ready in time."""


class ExchangeAddresses(msgspec.Struct, frozen=True):
    """The first line that the simulator prints."""

    rest_url: str
    ws_url: str


class Waiting:
    """Wait for a process: its patience, and a line of progress every 4 s."""

    def __init__(self, meter: LoadMeter, say: Callable[[str], None]) -> None:
        self.patience = Patience(_START_SEC, meter)
        self._say = say
        self._begun_sec = trio.current_time()
        self._say_at_sec = self._begun_sec + _SAY_SEC

    @property
    def passed_sec(self) -> float:
        return trio.current_time() - self._begun_sec

    def say_at_times(self, text: str) -> None:
        """Say it if 4 s have passed since it was last said."""
        if trio.current_time() >= self._say_at_sec:
            self._say(text)
            self._say_at_sec += _SAY_SEC


class Child:
    """A running process that writes to a log file of its own."""

    def __init__(self, name: str, process: trio.Process, log_path: Path) -> None:
        self.name = name
        self._process = process
        self._log_path = log_path
        self._printed = b""
        self._stopping = False

    async def ended(self) -> ChildFailedError:
        """Wait until the process ends by itself; return that as a failure."""
        code = await self._process.wait()
        if self._stopping:
            await trio.sleep_forever()
        if code < 0:
            return ChildFailedError(f"{self.name} was killed by {signal.Signals(-code).name}")
        return ChildFailedError(self._with_log(f"ended with {code}"))

    async def read_line(self, waiting: Waiting) -> bytes:
        """Return the first line that the process prints. Raises ChildFailedError."""
        pipe = self._process.stdout
        if pipe is None:
            raise RuntimeError("started without a pipe")
        while not self._printed.endswith(b"\n"):
            with trio.move_on_after(_READ_SEC):
                more = await pipe.receive_some()
                if not more:
                    raise await self.ended()
                self._printed += more
            self._go_on(waiting, "no answer")
        return self._printed

    async def wait_until_ready(self, http: httpx.AsyncClient, url: str, waiting: Waiting) -> None:
        """Wait until the daemon at `url` is ready and has a universe. Raises ChildFailedError."""
        reasons = "no answer"
        while self._process.poll() is None:
            try:
                reasons = await _lacking(http, url)
            except httpx.TransportError as error:
                reasons = str(error) or type(error).__name__
            if not reasons:
                return
            self._go_on(waiting, reasons)
            await trio.sleep(_LOOK_SEC)
        raise await self.ended()

    async def stop(self, within_sec: float = STOP_SEC) -> int:
        """Send SIGTERM, and SIGKILL to a process that has not ended in time; return its exit code."""
        self._stopping = True
        if self._process.poll() is None:
            self._process.terminate()
            with trio.move_on_after(within_sec):
                await self._process.wait()
            if self._process.poll() is None:
                self._process.kill()
        return await self._process.wait()

    def _go_on(self, waiting: Waiting, reasons: str) -> None:
        if waiting.patience.is_over:
            raise ChildTooSlowError(
                self._with_log(f"is not ready after {waiting.passed_sec:.0f} s: {reasons}")
            )
        waiting.say_at_times(f"Waiting for {self.name}: {reasons}")

    def _with_log(self, what: str) -> str:
        """Return the sentence, and below it the end of the log without tracebacks."""
        lines = self._log_path.read_text(errors="replace").splitlines()
        messages = [line for line in lines if line and not line.startswith((" ", "Traceback"))]
        return "\n  ".join([f"{self.name} {what}", *messages[-_LOG_LINES:]])


async def _lacking(http: httpx.AsyncClient, url: str) -> str:
    """Return why the daemon cannot permit plans yet; empty when it can. Raises httpx.TransportError."""
    answer = await http.get(f"{url}/readyz")
    if answer.status_code != httpx.codes.OK:
        return "; ".join(_READINESS.decode(answer.content).reasons)
    status = _STATUS.decode((await http.get(f"{url}/status")).content)
    if status.allowlist is None or not status.allowlist.count:
        return "the universe is not published yet"
    governor = status.roles.get("governor")
    return "the account's equity is not known yet" if governor is not None and governor.equity is None else ""


async def count_listed(http: httpx.AsyncClient, url: str) -> int:
    """Count the symbols that the daemon at `url` may open. Raises httpx.TransportError."""
    status = _STATUS.decode((await http.get(f"{url}/status")).content)
    return 0 if status.allowlist is None else status.allowlist.count


@asynccontextmanager
async def running_exchange(
    folder: Path, waiting: Waiting, *, latency_ms: float
) -> AsyncIterator[tuple[Child, ExchangeAddresses]]:
    """Run the simulated exchange as a process for the length of a block. Raises ChildFailedError."""
    arguments = ("simulate-exchange", "--latency-ms", f"{latency_ms:g}")
    async with _child("the simulated exchange", arguments, {}, folder / "exchange.log", piped=True) as child:
        line = await child.read_line(waiting)
        yield child, msgspec.json.decode(line, type=ExchangeAddresses)


@asynccontextmanager
async def running_daemon(
    folder: Path, redis_url: str, exchange: ExchangeAddresses, switches: Mapping[str, str]
) -> AsyncIterator[tuple[Child, str]]:
    """Run the daemon as a process for the length of a block; yield it with the address of its HTTP side.

    `switches`: the settings of its roles.
    """
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
        **switches,
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
