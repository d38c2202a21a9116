"""A socket that plays systemd."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Listener:
    """Socket for reports of a service; each is a list of assignments."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind("\0" + address[1:] if address.startswith("@") else address)

    def heard(self) -> list[list[str]]:
        """Return the reports since the last call."""
        reports: list[list[str]] = []
        while True:
            try:
                reports.append(self._socket.recv(65_536).decode().split("\n"))
            except BlockingIOError:
                return reports

    def close(self) -> None:
        self._socket.close()


@contextmanager
def listening(folder: Path) -> Iterator[Listener]:
    """A listener on a socket in `folder`."""
    listener = Listener(str(folder / "notify"))
    try:
        yield listener
    finally:
        listener.close()
