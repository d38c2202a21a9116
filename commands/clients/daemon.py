"""How commands ask a running daemon: its HTTP side, which only tells."""

from __future__ import annotations

from collections.abc import Mapping

import httpx

import settings
from settings import SettingsError

_TIMEOUT_SEC = 3.0
_ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - what a daemon listens on, not we


class NoDaemonError(Exception):
    """Nobody answers, or somebody else does; one sentence for a person."""


def daemon_url(environ: Mapping[str, str], url: str | None) -> str:
    """The base URL of the daemon: `url` where it is given, else where `environ` has it listen.

    Raises SettingsError.
    """
    if url is not None:
        return (url if "://" in url else f"http://{url}").rstrip("/")
    own = settings.load(environ).settings
    if own.metrics_port == 0:
        raise SettingsError("P33_METRICS_PORT", "=0 is any free port: name the daemon's with --url")
    host = _ANY_ADDRESS.get(own.bind, own.bind)
    return f"http://[{host}]:{own.metrics_port}" if ":" in host else f"http://{host}:{own.metrics_port}"


class DaemonHttp:
    """Asks one daemon, again and again over one connection. Use as a context manager."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._client = httpx.Client(timeout=_TIMEOUT_SEC, trust_env=False)

    def __enter__(self) -> DaemonHttp:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def get(self, path: str, *, also: tuple[int, ...] = ()) -> httpx.Response:
        """The answer, with status 200 or one of `also`. Raises NoDaemonError."""
        try:
            response = self._client.get(f"{self.url}{path}")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise NoDaemonError(f"no daemon answers at {self.url} ({_why(error)})") from None
        if response.status_code not in (200, *also):
            raise NoDaemonError(
                f"what answers at {self.url} is not this service: status {response.status_code} for {path}"
            )
        return response


def _why(error: Exception) -> str:
    if isinstance(error, httpx.TimeoutException):
        return f"no answer within {_TIMEOUT_SEC:g} s"
    return str(error).removeprefix("[Errno 111] ").lower() or type(error).__name__
