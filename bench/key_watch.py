"""Watch for changes of keys with a prefix, pushed by Redis.

Client tracking in broadcast mode: Redis pushes all keys that changed in one turn of its loop together.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

from bench.redis_socket import BlockingRedis, Command


class KeyWatch:
    """Connection that sends commands and receives changed keys. Times out after a minute of silence."""

    def __init__(
        self, url: str, prefix: str, forms: tuple[str, ...] = ("",), *, others: Iterable[str] = ()
    ) -> None:
        """Watch keys with `prefix` or one of `others`.

        `forms`: begins of a name behind its prefix, longer ones first. A name changes with the
        last of its forms.
        """
        self._redis = BlockingRedis(url)
        self._prefixes = (prefix, *others)
        self._forms = forms
        self._seen: dict[str, set[str]] = {}
        each = [word for known in self._prefixes for word in ("PREFIX", known)]
        self._redis.command("CLIENT", "TRACKING", "ON", "BCAST", *each)

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
        """Wait until `name` has changed in each of its forms. Raises TimeoutError."""
        while True:
            self._redis.wait_for_push()
            if name in self._take():
                return

    def changed_within(self, wait_sec: float) -> list[str]:
        """Return the changed names; empty when there were none within `wait_sec`."""
        if not self._redis.pushed:
            self._redis.drain(wait_sec)
        return self._take()

    def _take(self) -> list[str]:
        names: list[str] = []
        while self._redis.pushed:
            kind, keys = self._redis.pushed.popleft()
            if kind == b"invalidate" and keys is not None:
                names += [name for key in keys if (name := self._completed(key.decode()))]
        return names

    def _completed(self, key: str) -> str:
        """Return the name of a changed key, empty while another of its forms has not changed."""
        found = key.removeprefix(next(known for known in self._prefixes if key.startswith(known)))
        form = next(form for form in self._forms if found.startswith(form))
        name = found.removeprefix(form)
        if len(self._forms) == 1:
            return name
        seen = self._seen.setdefault(name, set())
        seen.add(form)
        if len(seen) < len(self._forms):
            return ""
        del self._seen[name]
        return name
