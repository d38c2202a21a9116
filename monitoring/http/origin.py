"""Where browsers find the page: at this address, through a tunnel, or at the origin of a proxy with TLS."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

from starlette.requests import Request

from settings.hosts import is_loopback_host

_HOST = re.compile(r"(?:\[([^\]]+)\]|([^:\[\]]+))(?::(\d{1,5}))?", re.ASCII)
_COOKIE = "act_session"


class PageOrigin:
    """The public origin (`https://host[:port]`), or none. A request is public by the name in its Host."""

    def __init__(self, public: str | None) -> None:
        self._public = public
        self._name = None if public is None else urlsplit(public).hostname

    def is_public(self, request: Request) -> bool:
        """Return whether a browser has asked for the public origin, as far as Host says so."""
        return self._name is not None and _name(_host(request)) == self._name

    def is_known(self, request: Request) -> bool:
        """Return whether Host is the public origin's, `localhost` or an address.

        A name in a DNS zone of others is none of them.
        """
        return self.is_public(request) or _is_local(_name(_host(request)))

    def refusal(self, request: Request) -> str | None:
        """Return why a form is refused: a page of another site sent it, or it does not say whose it is."""
        origin, site = request.headers.get("origin"), request.headers.get("sec-fetch-site")
        if origin is not None and origin == self._public and not self.is_public(request):
            return f"the proxy does not pass Host on ({self._name})"
        own = self._public if self.is_public(request) else None
        same = [] if origin is None else [_is_same(origin, own, _host(request))]
        if site is not None:
            same.append(site == "same-origin")
        return None if same and all(same) else "the form is of another site"

    def cookie(self, request: Request) -> str:
        """Return the name of the session's cookie: with the port of Host, which browsers do not tell apart.

        The public origin's is one that a browser takes over TLS alone, and from no other host.
        """
        if self.is_public(request):
            return f"__Host-{_COOKIE}"
        found = _HOST.fullmatch(_host(request))
        return f"{_COOKIE}_{found[3]}" if found and found[3] else _COOKIE

    def address(self, request: Request) -> str:
        """Return the address of a person's browser.

        Of a public request by a proxy on this host it is the last of `X-Forwarded-For`, which that proxy has
        added.
        """
        peer = "unknown" if request.client is None else request.client.host
        if self.is_public(request) and is_loopback_host(peer):
            last = ",".join(request.headers.getlist("x-forwarded-for")).rpartition(",")[2].strip()
            return last if _is_address(last) else peer
        return peer


def _host(request: Request) -> str:
    return request.headers.get("host", "").lower()


def _name(host: str) -> str:
    """Return the name in a Host header in lower case, without its port; empty for any other text."""
    found = _HOST.fullmatch(host)
    return (found[1] or found[2]) if found else ""


def _is_local(name: str) -> bool:
    return name == "localhost" or _is_address(name)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _is_same(origin: str, own: str | None, host: str) -> bool:
    """Return whether an Origin is `own`, or without one, of the host that was asked."""
    if own is not None:
        return origin == own
    try:
        authority = urlsplit(origin).netloc.lower()
    except ValueError:
        return False
    return bool(authority) and authority == host
