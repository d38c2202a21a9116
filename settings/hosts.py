"""Host names, IP addresses and base addresses, and the exchanges that Binance runs."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Final, NamedTuple
from urllib.parse import urlsplit

#: Labels of 1 to 63 characters: any other name cannot even be looked up.
_HOST_NAME = re.compile(r"(?=.{1,253}$)(?!-)[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*(?<!-)")
_URL_TEXT = re.compile(r"[!-~]{1,1024}")


class Venue(NamedTuple):
    """USDⓈ-M exchange of Binance, with accounts and positions of its own.

    `wallet_url`: base address of the wallet's API; only the real exchange has one.
    """

    name: str
    rest_url: str
    ws_url: str
    wallet_url: str | None

    @property
    def real_money(self) -> bool:
        """True if trading there costs money."""
        return self is PRODUCTION


#: Sources: USDⓈ-M Futures, "General Info" and "WebSocket Streams"; the old testnet is no longer documented.
PRODUCTION: Final = Venue(
    "the real exchange", "https://fapi.binance.com", "wss://fstream.binance.com", "https://api.binance.com"
)
DEMO: Final = Venue(
    "the demo exchange", "https://demo-fapi.binance.com", "wss://demo-fstream.binance.com", None
)
OLD_TESTNET: Final = Venue(
    "the old testnet", "https://testnet.binancefuture.com", "wss://fstream.binancefuture.com", None
)
_VENUE_OF_HOST: Final = {
    urlsplit(url).hostname: venue
    for venue in (PRODUCTION, DEMO, OLD_TESTNET)
    for url in (venue.rest_url, venue.ws_url)
}


def venue_of(url: str) -> Venue | None:
    """Return the exchange of a base address; None for loopback, proxies and everything else."""
    return _VENUE_OF_HOST.get(urlsplit(url).hostname)


def parse_host(text: str) -> str:
    """Return `text` if it is a host name or an IP address (IPv6 without brackets). Raises ValueError."""
    if not _HOST_NAME.fullmatch(text):
        ip_address(text)
    return text


def parse_base_url(text: str, schemes: tuple[str, ...]) -> str:
    """Return `scheme://host[:port][/path]` without a trailing slash. Raises ValueError for other texts."""
    if not _URL_TEXT.fullmatch(text) or any(sign in text for sign in "@?#\\"):
        raise ValueError("not a base address")
    parts = urlsplit(text)
    if parts.scheme not in schemes or not parts.hostname or parts.port == 0:
        raise ValueError("scheme or host missing")
    parse_host(parts.hostname)
    return text.rstrip("/")


def is_loopback(url: str) -> bool:
    """Return True if the URL's host is this machine."""
    host = urlsplit(url).hostname or ""
    return host.endswith(".localhost") or is_loopback_host(host)


def is_loopback_host(host: str) -> bool:
    """Return True if only this host can connect to an address, or to what `localhost` names."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
