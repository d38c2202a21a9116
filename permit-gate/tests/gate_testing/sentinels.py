"""Two redis-servers and the Sentinel that watches them, on ports of their own."""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import redis

from gate_testing.redis_server import find_redis_server

SERVICE = "quantum"
SERVER_PASSWORD, SENTINEL_PASSWORD = "of/server", "of/sentinel"
#: A Sentinel that was not given the processor for 2 s does nothing for 30 s ("TILT").
_WAIT_SEC = 60.0
_SENTINEL = """
port {port}
bind 127.0.0.1
requirepass {password}
sentinel monitor {service} 127.0.0.1 {primary} 1
sentinel auth-pass {service} {server_password}
sentinel down-after-milliseconds {service} 500
sentinel failover-timeout {service} 3000
"""


def _until(look: Callable[[], Any], what: str) -> None:
    deadline_sec = time.monotonic() + _WAIT_SEC
    while True:
        try:
            if look():
                return
        except redis.RedisError:
            pass
        assert time.monotonic() < deadline_sec, what
        time.sleep(0.01)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


class Watched:
    """The servers by port; `url` is for the gate, with the logins of both."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._stack = stack
        self._folder = folder
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self.ports = (_free_port(), _free_port())
        self._sentinel_port = _free_port()
        for port in self.ports:
            follow = () if port == self.ports[0] else ("--replicaof", "127.0.0.1", str(self.ports[0]))
            login = ("--requirepass", SERVER_PASSWORD, "--masterauth", SERVER_PASSWORD)
            self._start(port, "--port", str(port), *login, *follow, "--repl-diskless-sync-delay", "0")
        # Sentinel asks a server for its replicas every 10 s.
        _until(
            lambda: self.client(self.ports[0]).info("replication")["connected_slaves"], "the replica follows"
        )
        conf = folder / "sentinel.conf"
        conf.write_text(
            _SENTINEL.format(
                port=self._sentinel_port,
                password=SENTINEL_PASSWORD,
                service=SERVICE,
                primary=self.ports[0],
                server_password=SERVER_PASSWORD,
            )
        )
        self._start(self._sentinel_port, str(conf), "--sentinel")
        self._sentinel: Any = redis.Redis(
            port=self._sentinel_port, password=SENTINEL_PASSWORD, decode_responses=True
        )
        _until(self._replica_is_known, "the Sentinel knows the replica")

    @property
    def url(self) -> str:
        """An address whose first Sentinel does not run; the two others are one."""
        hosts = f"127.0.0.1:1,127.0.0.1:{self._sentinel_port},localhost:{self._sentinel_port}"
        return f"redis+sentinel://:of%2Fserver@{hosts}/{SERVICE}/0?sentinel_password=of%2Fsentinel"

    def client(self, port: int) -> Any:
        """A client of one of the servers."""
        return redis.Redis(port=port, password=SERVER_PASSWORD)

    def primary(self) -> int:
        """The port of the server that the Sentinel names."""
        return int(self._sentinel.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE)[1])

    def kill_primary(self) -> None:
        """SIGKILL; returns when the other one is the primary."""
        port = self.primary()
        process = self._processes[port]
        process.kill()
        process.wait()
        self._until_primary_is_not(port)

    def fail_over(self) -> None:
        """As planned by an operator; the old primary lives on as a replica."""
        port = self.primary()
        _until(lambda: self._sentinel.execute_command("SENTINEL", "FAILOVER", SERVICE), "failover begins")
        self._until_primary_is_not(port)

    def _until_primary_is_not(self, old: int) -> None:
        def leads() -> bool:
            port = self.primary()
            return port != old and self.client(port).info("replication")["role"] == "master"

        _until(leads, "another primary")

    def _replica_is_known(self) -> bool:
        known = self._sentinel.execute_command("SENTINEL", "REPLICAS", SERVICE)
        fields = [each if isinstance(each, dict) else dict(zip(each[::2], each[1::2])) for each in known]
        return [each["master-link-status"] for each in fields] == ["ok"]

    def _start(self, port: int, *arguments: str) -> None:
        folder = self._folder / str(port)
        folder.mkdir()
        command = [find_redis_server(), *arguments, "--dir", str(folder), "--daemonize", "no", "--save", ""]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**os.environ, "LC_ALL": "C"}
            )
        self._processes[port] = process
        self._stack.callback(process.wait)
        self._stack.callback(process.kill)


@contextmanager
def watched() -> Iterator[Watched]:
    """All of them for the length of a block."""
    with tempfile.TemporaryDirectory(prefix="gate-") as folder, ExitStack() as stack:
        yield Watched(Path(folder), stack)
