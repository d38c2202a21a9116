"""Relay to a Redis far away: every byte arrives half of a round trip later, in order, at any bandwidth.

`python -m bench.delay_relay REDIS_URL SOCKET` listens on the Unix socket SOCKET, prints a line once it does,
and runs until SIGTERM. A datagram to SOCKET.control sets the round trip (ms), 0 at first, and is answered.
What was received together leaves together, half of the round trip after that: what wakes late delays one
piece, and adds up nowhere.
"""

from __future__ import annotations

import ctypes
import select
import socket
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from bench.processes import child

#: Of a session, from its start: a contender learns the round trip by the least of a minute.
ROUND_TRIPS_MS = (25, 5, 1, 0)
_RECEIVE_BYTES = 1 << 20
_CONTROL = ".control"
_GIVE_UP_SEC = 10.0
#: A sleeper wakes late: for so long before a piece is due, it is looked for without sleeping.
_AWAKE_SEC = 0.0002
#: It wakes late for bytes that come, too: they came so long before.
_CAME_BEFORE_SEC = 0.00004
#: By default Linux adds 50 µs.
_PR_SET_TIMERSLACK, _SLACK_NS = 29, 1_000


class _Piece(NamedTuple):
    """Bytes under way; none: the end of the stream."""

    due_sec: float
    content: bytes


class _Way:
    """One direction of a connection."""

    def __init__(self, source: socket.socket, target: socket.socket) -> None:
        self.source, self.target = source, target
        self.pieces: deque[_Piece] = deque()
        self.open = True
        self._unsent = memoryview(b"")

    @property
    def blocked(self) -> bool:
        """True if the target takes no more for now."""
        return bool(self._unsent)

    def receive(self, delay_sec: float) -> None:
        """Take what has arrived, to be sent so much later."""
        try:
            content = self.source.recv(_RECEIVE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            content = b""
        self.pieces.append(_Piece(time.perf_counter() + delay_sec, content))
        self.open = bool(content)

    def send(self) -> None:
        """Send what is due, as much as the target takes."""
        while self._unsent or (self.pieces and self.pieces[0].due_sec <= time.perf_counter()):
            if not self._unsent:
                self._unsent = memoryview(self.pieces.popleft().content)
            try:
                if not self._unsent:
                    self.target.shutdown(socket.SHUT_WR)
                    return
                self._unsent = self._unsent[self.target.send(self._unsent) :]
            except BlockingIOError:
                return
            except OSError:
                # It is closed: what is under way to it is lost, as on any network.
                self.pieces.clear()
                self._unsent = memoryview(b"")

    @property
    def over(self) -> bool:
        """True if nothing comes and nothing is under way."""
        return not self.open and not self.pieces and not self._unsent


class DelayRelay:
    """Relay of all connections to `listener` to the Unix socket `redis_path`."""

    def __init__(self, listener: socket.socket, control: socket.socket, redis_path: str) -> None:
        self._listener = listener
        self._control = control
        self._redis_path = redis_path
        self._delay_sec = 0.0
        self._ways: list[_Way] = []

    def serve(self) -> None:
        """Relay until the process is stopped."""
        while True:
            self._step()

    def _step(self) -> None:
        reading = {way.source: way for way in self._ways if way.open}
        writing = {way.target: way for way in self._ways if way.blocked}
        due = [way.pieces[0].due_sec for way in self._ways if way.pieces and not way.blocked]
        wait_sec = max(min(due) - time.perf_counter() - _AWAKE_SEC, 0) if due else None
        readable, _, _ = select.select([self._listener, self._control, *reading], writing, [], wait_sec)
        for each in readable:
            if each is self._listener:
                self._accept()
            elif each is self._control:
                self._set_round_trip()
            else:
                reading[each].receive(self._delay_sec)
        for way in self._ways:
            way.send()
        self._forget_closed()

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        server = socket.socket(socket.AF_UNIX)
        server.connect(self._redis_path)
        for each in (client, server):
            each.setblocking(False)
        self._ways += [_Way(client, server), _Way(server, client)]

    def _set_round_trip(self) -> None:
        text, client = self._control.recvfrom(100)
        self._delay_sec = max(float(text) / 2000 - _CAME_BEFORE_SEC, 0)
        self._control.sendto(text, client)

    def _forget_closed(self) -> None:
        over = {way.source for way in self._ways if way.over}
        if not over:
            return
        left: list[_Way] = []
        for way in self._ways:
            if way.source in over and way.target in over:
                way.source.close()
            else:
                left.append(way)
        self._ways = left


class FarRedis:
    """Redis behind a running relay at `url`."""

    def __init__(self, folder: Path, path: Path) -> None:
        self.url = f"unix://{path}"
        own = folder / "far-redis.bench"
        own.unlink(missing_ok=True)
        self._control = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._control.bind(str(own))
        self._control.settimeout(_GIVE_UP_SEC)
        self._control.connect(f"{path}{_CONTROL}")

    def set_round_trip(self, round_trip_ms: float) -> None:
        """Delay all that is sent from now on. Raises TimeoutError."""
        self._control.send(f"{round_trip_ms:g}".encode())
        self._control.recv(100)

    def close(self) -> None:
        """Close the control socket."""
        self._control.close()


@contextmanager
def far_redis(folder: Path, redis_url: str) -> Iterator[FarRedis]:
    """Run a relay within the block."""
    path = folder / "far-redis"
    for each in (path, Path(f"{path}{_CONTROL}")):
        each.unlink(missing_ok=True)
    with child("delay-relay", folder, "bench.delay_relay", redis_url, str(path)) as running:
        running.first_line()
        with closing(FarRedis(folder, path)) as redis:
            yield redis


def main(redis_url: str, path: str) -> None:
    """Serve, and print a line first."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, _SLACK_NS, 0, 0, 0)
    with (
        socket.socket(socket.AF_UNIX) as listener,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as control,
    ):
        control.bind(path + _CONTROL)
        listener.bind(path)
        listener.listen(128)
        print("listening", flush=True)
        DelayRelay(listener, control, urlsplit(redis_url).path).serve()


if __name__ == "__main__":
    main(*sys.argv[1:3])
