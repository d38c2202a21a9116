"""Client of `instrumented_daemon`'s control socket; other processes can send moments to it, too."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Self

import msgspec

from bench.instrumented_daemon import Reply, Request

_GIVE_UP_SEC = 30.0


class ControlSocket:
    """Control socket: requests to the daemon, moments from it. Raises OSError, after 30 s TimeoutError."""

    def __init__(self, folder: Path) -> None:
        self.path = str(folder / "control")
        self._daemon_path = daemon_path(folder)
        Path(self.path).unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.path)
        self._socket.settimeout(_GIVE_UP_SEC)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def fail(self, actor: str) -> Reply:
        """Let an actor fail; return the moment, and the number of its starts before."""
        self._send(Request(fail=actor))
        return self._reply()

    def starts(self, actor: str) -> int:
        """Return the number of an actor's starts."""
        self._send(Request(count=actor))
        return self._reply().starts

    def watch(self, amounts: Mapping[str, Decimal]) -> None:
        """Request the moment at which the evaluator sees these amounts; the watch is on when this returns."""
        self._send(Request(watch=amounts))
        self._reply()

    def moment_sec(self) -> float:
        """Wait for the next reply with a moment."""
        while (at_sec := self._reply().at_sec) is None:
            pass
        return at_sec

    def _reply(self) -> Reply:
        return msgspec.json.decode(self._socket.recv(1 << 16), type=Reply)

    def _send(self, request: Request) -> None:
        self._socket.sendto(msgspec.json.encode(request), self._daemon_path)


def daemon_path(folder: Path) -> str:
    """Return the path of the instrumented daemon's socket."""
    return str(folder / "daemon")
