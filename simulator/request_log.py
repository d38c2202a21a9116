"""Log of the simulated exchange's REST requests, for tests to check which were and were not sent."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass


@dataclass(slots=True)
class RequestRecord:
    """One REST request. ``status`` is 0 while (or because) no answer was sent.

    ``wall_time_ms`` is when it arrived, by this host's clock; ``query`` is without its signature.
    ``on_socket_ms`` is when its last bytes were on the socket, before any was read; 0: not known.
    """

    wall_time_ms: int
    method: str
    path: str
    query: str
    weight: int = 0
    status: int = 0
    on_socket_ms: float = 0.0


class RequestLog:
    """The last 20 000 requests, oldest first. Control requests are not among them."""

    def __init__(self) -> None:
        self._records: deque[RequestRecord] = deque(maxlen=20_000)
        self.total = 0

    def arrived(self, record: RequestRecord) -> None:
        self._records.append(record)
        self.total += 1

    def records(self, *, path: str | None = None, since_ms: int = 0) -> list[RequestRecord]:
        """Return those of one path (or of all) that arrived at ``since_ms`` or later."""
        return [
            record
            for record in self._records
            if record.wall_time_ms >= since_ms and path in (None, record.path)
        ]
