"""What a service tells systemd: datagrams to the socket that it names in the environment.

Source: sd_notify(3), sd_watchdog_enabled(3).
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from contextlib import suppress
from types import TracebackType
from typing import Self

#: systemd shows one line, and cuts what is longer than a page.
_LONGEST_STATUS = 300


class NotifySocket:
    """Tells systemd what becomes of us. Never blocks nor raises: no service may fail of its reports."""

    def __init__(self, address: str, watchdog_sec: float | None) -> None:
        """`address`: a path, or `@` and an abstract name. `watchdog_sec`: systemd ends a service that it has
        not heard `alive` of for so long; None: it does not."""
        self.watchdog_sec = watchdog_sec
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.setblocking(False)

    @classmethod
    def from_environ(cls, environ: Mapping[str, str], pid: int) -> Self | None:
        """The socket that `environ` names for process `pid`; None where systemd does not listen."""
        address = environ.get("NOTIFY_SOCKET", "")
        # Other kinds (`vsock:…`) are for virtual machines.
        if len(address) < 2 or address[0] not in "/@":
            return None
        return cls(address, _watchdog_sec(environ, pid))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def ready(self, status: str) -> bool:
        """The service stands. False when that could not be told."""
        return self._send("READY=1", _status(status))

    def alive(self) -> None:
        """The service makes progress."""
        self._send("WATCHDOG=1")

    def status(self, status: str) -> None:
        """What the service does or waits for; one line for people."""
        self._send(_status(status))

    def stopping(self, status: str, within_sec: float) -> None:
        """The service has begun to end, and will be done `within_sec` from now: wait for that."""
        self._send("STOPPING=1", _status(status), f"EXTEND_TIMEOUT_USEC={round(within_sec * 1_000_000)}")

    def _send(self, *assignments: str) -> bool:
        with suppress(OSError):
            self._socket.sendto("\n".join(assignments).encode(), self._address)
            return True
        return False


def _status(text: str) -> str:
    """An assignment that nothing in `text` can break out of."""
    line = "".join(character if character.isprintable() else " " for character in text)
    return f"STATUS={line if len(line) <= _LONGEST_STATUS else line[: _LONGEST_STATUS - 1] + '…'}"


def _watchdog_sec(environ: Mapping[str, str], pid: int) -> float | None:
    told = environ.get("WATCHDOG_USEC", "")
    if environ.get("WATCHDOG_PID", str(pid)) != str(pid):
        return None
    return int(told) / 1_000_000 if told.isascii() and told.isdigit() and int(told) > 0 else None
