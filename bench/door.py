"""The other side of `opened_daemon`'s socket, and of whoever else tells moments by datagram."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Self

import msgspec

from bench.opened_daemon import Asked, Told

_GIVE_UP_SEC = 30.0


class Door:
    """Asks what is opened, and hears moments. Raises OSError: TimeoutError after half a minute."""

    def __init__(self, folder: Path) -> None:
        self.path = str(folder / "door")
        self._daemon_path = daemon_path(folder)
        Path(self.path).unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.path)
        self._socket.settimeout(_GIVE_UP_SEC)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def strike(self, actor: str) -> Told:
        """Let an actor fail; when it does, and how often it was started before."""
        self._send(Asked(strike=actor))
        return self._told()

    def starts(self, actor: str) -> int:
        """How often an actor was started."""
        self._send(Asked(count=actor))
        return self._told().starts

    def watch(self, amounts: Mapping[str, Decimal]) -> None:
        """Ask for the moment at which the evaluator sees these amounts; it is watching when this returns."""
        self._send(Asked(watch=amounts))
        self._told()

    def moment_sec(self) -> float:
        """Wait for the next moment that is told."""
        while (at_sec := self._told().at_sec) is None:
            pass
        return at_sec

    def _told(self) -> Told:
        return msgspec.json.decode(self._socket.recv(1 << 16), type=Told)

    def _send(self, asked: Asked) -> None:
        self._socket.sendto(msgspec.json.encode(asked), self._daemon_path)


def daemon_path(folder: Path) -> str:
    """Where the opened daemon listens."""
    return str(folder / "opening")
