"""Watch for changes of keys with a prefix, pushed by Redis.

Client tracking in broadcast mode: Redis pushes all keys that changed in one turn of its loop together.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

from bench.redis_socket import BlockingRedis, Command


class KeyWatch:
    """Connection that sends commands and receives changed keys. Times out after a minute of silence."""

    def __init__(self, url: str, prefix: str) -> None:
        self._redis = BlockingRedis(url)
        self._prefix = prefix
        self._redis.command("CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", prefix)

    def __enter__(self) -> KeyWatch:
        return self

    def __exit__(self, *_: object) -> None:
        self._redis.close()

    def send(self, command: Command) -> None:
        """Send a command and ignore its reply."""
        self._redis.send([command])

    def send_packed(self, packed: bytes) -> None:
        """Send packed commands and ignore their replies."""
        self._redis.send_packed(packed)

    def latencies_sec(self, published: Iterable[tuple[str, bytes]]) -> list[float]:
        """Send packed commands one by one, each after the change of the key that the last one names."""
        latencies_sec: list[float] = []
        for name, packed in published:
            begun_sec = time.perf_counter()
            self.send_packed(packed)
            self.wait_for(name)
            latencies_sec.append(time.perf_counter() - begun_sec)
        return latencies_sec

    def wait_for(self, name: str) -> None:
        """Wait until the key `prefix + name` has changed. Raises TimeoutError."""
        while True:
            self._redis.wait_for_push()
            if name in self._take():
                return

    def changed_within(self, wait_sec: float) -> list[str]:
        """Return the changed keys without the prefix; empty when there were none within `wait_sec`."""
        if not self._redis.pushed:
            self._redis.drain(wait_sec)
        return self._take()

    def _take(self) -> list[str]:
        names: list[str] = []
        while self._redis.pushed:
            kind, keys = self._redis.pushed.popleft()
            if kind == b"invalidate" and keys is not None:
                names += [key.decode().removeprefix(self._prefix) for key in keys]
        return names
