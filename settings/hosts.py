"""Host names, IP addresses and base addresses of servers."""

from __future__ import annotations

import re
from ipaddress import ip_address
from urllib.parse import urlsplit

_HOST_NAME = re.compile(r"(?=.{1,253}$)[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?")
_URL_TEXT = re.compile(r"[!-~]{1,1024}")


def parse_host(text: str) -> str:
    """`text`, if it is a host name or an IP address (IPv6 without brackets). Raises ValueError."""
    if not _HOST_NAME.fullmatch(text):
        ip_address(text)
    return text


def parse_base_url(text: str, schemes: tuple[str, ...]) -> str:
    """`text` without a trailing slash, if it is just `scheme://host[:port][/path]`. Raises ValueError."""
    if not _URL_TEXT.fullmatch(text) or any(sign in text for sign in "@?#\\"):
        raise ValueError("not a base address")
    parts = urlsplit(text)
    if parts.scheme not in schemes or not parts.hostname or parts.port == 0:
        raise ValueError("scheme or host missing")
    parse_host(parts.hostname)
    return text.rstrip("/")


def is_loopback(url: str) -> bool:
    """Whether the URL leads to this machine itself."""
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
