"""Sentinels that answer as a test sets them, in threads, and servers that they may name."""

from __future__ import annotations

import socket
import socketserver
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import Any

import redis

from gate_testing.permits import governor_permit, p33_permit
from gate_testing.redis_server import OwnRedis


def free_port() -> int:
    """A port on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def naming(port: int) -> bytes:
    """The answer of a Sentinel that names a server of this host."""
    return b"*2\r\n$9\r\n127.0.0.1\r\n$%d\r\n%d\r\n" % (len(str(port)), port)


class FakeSentinel(socketserver.ThreadingTCPServer):
    """Answers each question with `answer`; leaves it open where that is None."""

    daemon_threads = True

    def __init__(self, answer: bytes | None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer = answer
        self.connections: list[socket.socket] = []

    def stop(self) -> None:
        """Refuse connections, and end the present ones."""
        self.shutdown()
        self.server_close()
        for each in self.connections:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


class _Handler(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        server: Any = self.server
        server.connections.append(self.request)
        while True:
            try:
                received = self.request.recv(4096)
            except OSError:
                return
            if not received:
                return
            if b"GET-MASTER" in received and server.answer is not None:
                self.request.sendall(server.answer)
            elif b"GET-MASTER" not in received:
                # As many answers as there are commands, such as CLIENT SETINFO.
                self.request.sendall(b"+OK\r\n" * received.count(b"*"))


@contextmanager
def fake_sentinels(*answers: bytes | None) -> Iterator[list[FakeSentinel]]:
    """One for each answer."""
    with ExitStack() as stack:
        sentinels = [FakeSentinel(answer) for answer in answers]
        for each in sentinels:
            Thread(target=each.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
            stack.callback(each.stop)
        yield sentinels


def url_of(sentinels: Sequence[FakeSentinel]) -> str:
    """The address of the service that they watch."""
    return f"redis+sentinel://{','.join(f'127.0.0.1:{each.server_address[1]}' for each in sentinels)}/quantum"


class Primary:
    """A redis-server on a port of its own."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._server = OwnRedis(folder)
        self._server.start("--port", str(self.port))
        self.client = redis.Redis(port=self.port)

    def issue(self, plan_id: str) -> None:
        """Store both permits of a plan."""
        self.client.set(f"quantum:permit:{plan_id}", governor_permit())
        self.client.set(f"quantum:permit:p33:{plan_id}", p33_permit(plan_id))

    def kill(self) -> None:
        """SIGKILL."""
        self._server.kill()


@contextmanager
def primaries() -> Iterator[tuple[Primary, Primary]]:
    """Two servers, neither of which knows of the other."""
    with ExitStack() as stack:
        made = []
        for _ in range(2):
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="gate-"))
            made.append(Primary(Path(folder)))
            stack.callback(made[-1].kill)
        yield made[0], made[1]
