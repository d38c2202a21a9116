"""The service as its installer leaves it on a booted host, beside a Redis and an exchange to stand in."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from commands.clients.embedded_redis import find_redis_server
from tests.deploy.booted_host import BootedHost, booted
from tests.deploy.retrying import patiently
from tests.deploy.test_installer import copied_checkout
from tests.deploy.wheelhouse import fill

UNIT = "quantum-position-state-brain.service"
SECRETS = {
    "BINANCE_API_KEY": "simulator-api-key",
    "BINANCE_API_SECRET": "simulator-api-secret",
    "REDIS_PASSWORD": "the-password-of-this-redis",
}
SETTINGS = """# mine
BINANCE_REST_URL=http://127.0.0.1:9001
BINANCE_WS_URL='ws://127.0.0.1:9002'
P33_ALLOWLIST_SOURCE=env
P33_ALLOWLIST="BTCUSDT"
"""
COMMAND = "/usr/local/bin/position-state-brain"
_CHECKOUT, _WHEELS, _PYTHON = "/srv/checkout", "/srv/wheels", "/srv/python"
_REDIS, _REDIS_SETTINGS = "/srv/redis-server", "/srv/redis.conf"
_STAND_INS = {
    "redis-server.service": f"{_REDIS} {_REDIS_SETTINGS}",
    "exchange.service": f"{COMMAND} simulate-exchange --rest-port 9001 --stream-port 9002",
}
#: bash's own way to a socket: a host need not have curl.
_GET = r"""
exec 3<>"/dev/tcp/127.0.0.1/$2"
printf 'GET %s HTTP/1.0\r\nHost: localhost\r\n\r\n' "$1" >&3
cat <&3
"""


class InstalledService:
    """A booted host and a checkout that the service is installed from."""

    def __init__(self, host: BootedHost, checkout: Path) -> None:
        self.host = host
        self.checkout = checkout
        self._before = host.written()

    @property
    def settings(self) -> Path:
        return self.host.root / "etc/quantum/position-state-brain.env"

    def install(self, *arguments: str, stdin: str = "") -> str:
        """Run the installer, with wheels in place of a package index; return what it said."""
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        return self.host.run(
            f"{_CHECKOUT}/deploy/install.sh",
            *("--python", f"{_PYTHON}/bin/python{version}"),
            *arguments,
            stdin=stdin,
            environ={"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": _WHEELS},
        )

    def systemctl(self, verb: str, unit: str = UNIT, code: int | None = 0) -> float:
        """Run systemctl; return the seconds that it took."""
        began_sec = time.monotonic()
        self.host.run("systemctl", verb, unit, code=code)
        return time.monotonic() - began_sec

    def main_pid(self, unit: str = UNIT) -> int:
        return int(self.host.shows(unit, "MainPID")["MainPID"])

    def state(self, unit: str = UNIT) -> str:
        return self.host.shows(unit, "ActiveState")["ActiveState"]

    def journal(self, unit: str = UNIT) -> str:
        self.host.run("journalctl", "--sync")
        return self.host.run("journalctl", "--no-pager", "--unit", unit)

    def get(self, path: str, port: int = 8045) -> tuple[int, Any]:
        """Return status and body of the HTTP side. Raises OSError while nothing listens."""
        said = self.host.run("bash", "-ec", _GET, "bash", path, str(port), code=None)
        head, found, body = said.replace("\r\n", "\n").partition("\n\n")
        if not found:
            raise ConnectionRefusedError(said)
        return int(head.split()[1]), msgspec.json.decode(body)

    def becomes(self, look: Callable[[], bool], within_sec: float, unit: str = UNIT) -> float:
        """Wait until something is seen; return the seconds that it took."""
        began_sec = time.monotonic()

        def seen() -> None:
            assert look()

        try:
            patiently(seen, AssertionError, OSError, within_sec=within_sec, every_sec=0.05)
        except (AssertionError, OSError) as error:
            raise AssertionError(f"not within {within_sec:g} s: {self.journal(unit)[-4000:]}") from error
        return time.monotonic() - began_sec

    def left(self) -> set[str]:
        """Return the files that were not there before the installation."""
        return self.host.written() - self._before

    def is_ready(self, port: int = 8045) -> bool:
        return self.get("/readyz", port)[0] == 200

    def prepare(self) -> None:
        """Restore what each test begins with: allowed settings, running stand-ins, a ready service."""
        self.settings.write_text(SETTINGS)
        for unit in _STAND_INS:
            self.systemctl("start", unit)
        if self.state() != "active":
            self.systemctl("start")
        self.becomes(self.is_ready, within_sec=20)


@contextmanager
def installed_service(folder: Path) -> Iterator[InstalledService]:
    """Boot a host, and install the service there with settings and secrets."""
    wheels, checkout = folder / "wheels", folder / "checkout"
    wheels.mkdir()
    fill(wheels)
    copied_checkout(checkout)
    shown = {
        _CHECKOUT: checkout,
        _WHEELS: wheels,
        _PYTHON: Path(sys.base_prefix),
        _REDIS: find_redis_server().resolve(),
    }
    # An installation of this machine is hidden, and what its systemd was asked to start.
    hidden = ("/opt", "/etc/quantum", "/etc/systemd/system")
    with booted(folder, shown=shown, hidden=hidden) as host:
        # The unit hides home folders, where the interpreter of the tests and its library may lie.
        (host.root / "etc/ld.so.conf.d/0-python.conf").write_text(f"{_PYTHON}/lib\n")
        host.run("ldconfig")
        (host.root / _REDIS_SETTINGS[1:]).write_text(
            f"bind 127.0.0.1\ndir /tmp\nappendonly yes\nrequirepass {SECRETS['REDIS_PASSWORD']}\n"
        )
        for unit, command in _STAND_INS.items():
            (host.root / "etc/systemd/system" / unit).write_text(f"[Service]\nExecStart={command}\n")
        host.run("systemctl", "daemon-reload")
        service = InstalledService(host, checkout)
        service.install()
        service.settings.write_text(SETTINGS)
        for name, value in SECRETS.items():
            service.install("--set-secret", name, stdin=f"{value}\n")
        yield service
