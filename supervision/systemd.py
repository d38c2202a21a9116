"""Client of sd_notify: datagrams to the socket that systemd names in the environment.

Source: sd_notify(3), sd_watchdog_enabled(3).
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from contextlib import suppress
from typing import Self

#: Longest status text: systemd shows one line, and cuts it at a page.
_LONGEST_STATUS = 300


class NotifySocket:
    """Socket for reports to systemd. Never blocks or raises: a lost report must not fail the service."""

    def __init__(self, address: str, watchdog_sec: float | None) -> None:
        """Take `address`, a path or `@` and an abstract name, and `watchdog_sec`.

        systemd ends a service without `alive` for `watchdog_sec`; None: it does not."""
        self.watchdog_sec = watchdog_sec
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.setblocking(False)

    @classmethod
    def from_environ(cls, environ: Mapping[str, str], pid: int) -> Self | None:
        """Return the socket that `environ` names for process `pid`; None without systemd."""
        address = environ.get("NOTIFY_SOCKET", "")
        # Other kinds (`vsock:…`) are for virtual machines.
        if len(address) < 2 or address[0] not in "/@":
            return None
        return cls(address, _watchdog_sec(environ, pid))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def ready(self, status: str) -> bool:
        """Report that the service is ready. Returns False when the report was not sent."""
        return self._send("READY=1", _status(status))

    def alive(self) -> None:
        """Report progress to the watchdog."""
        self._send("WATCHDOG=1")

    def status(self, status: str) -> None:
        """Report present work or dependency, in one line for operators."""
        self._send(_status(status))

    def stopping(self, status: str, within_sec: float) -> None:
        """Report that the service stops, and extend systemd's stop timeout to `within_sec` from now."""
        self._send("STOPPING=1", _status(status), f"EXTEND_TIMEOUT_USEC={round(within_sec * 1_000_000)}")

    def _send(self, *assignments: str) -> bool:
        with suppress(OSError):
            self._socket.sendto("\n".join(assignments).encode(), self._address)
            return True
        return False


def _status(text: str) -> str:
    """Return a status assignment on one line, unprintable characters of `text` replaced."""
    line = "".join(character if character.isprintable() else " " for character in text)
    return f"STATUS={line if len(line) <= _LONGEST_STATUS else line[: _LONGEST_STATUS - 1] + '…'}"


def _watchdog_sec(environ: Mapping[str, str], pid: int) -> float | None:
    timeout = environ.get("WATCHDOG_USEC", "")
    if environ.get("WATCHDOG_PID", str(pid)) != str(pid):
        return None
    return int(timeout) / 1_000_000 if timeout.isascii() and timeout.isdigit() and int(timeout) > 0 else None
