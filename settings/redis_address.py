"""Address of Redis, from a URL or from parts, printed without its password."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit

from settings.hosts import parse_host
from settings.secret import MASK, Secret

ALLOWED = (
    "redis://[user:password@]host[:port][/db], the same with rediss:// for TLS (options ssl_…=… after a ?), "
    "or unix:///path[?db=0]; special characters in the password as %XX"
)
DEFAULT_PORT = 6379
MAX_DB = 9999

_URL_TEXT = re.compile(r"[!-~]{1,1024}")
_DB = re.compile(r"[0-9]{1,4}")
_OPTION = re.compile(r"ssl_[a-z_]+")


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """Address of a Redis database. `str()` may be logged: it has `***` for user and password."""

    scheme: str
    """`redis`, `rediss` (TLS) or `unix`."""
    place: str
    """`host:port`, or the path of the socket."""
    db: int = 0
    user: str = ""
    password: Secret | None = None
    options: str = ""
    """The `ssl_…` options of a URL, as they were given."""

    def url(self) -> str:
        """Return the URL for redis-py's `from_url`, with the password: never log it."""
        password = f":{quote(self.password.reveal(), safe='')}" if self.password else ""
        return self._text(f"{quote(self.user, safe='')}{password}", self.options)

    def with_password(self, password: Secret | None) -> RedisAddress:
        """Return the address with `password`, unless it has one of its own."""
        return self if self.password else replace(self, password=password)

    def __str__(self) -> str:
        return self._text(MASK if self.user or self.password else "", "")

    def _text(self, login: str, options: str) -> str:
        at = f"{login}@" if login else ""
        if self.scheme == "unix":
            return f"unix://{at}{quote(self.place)}?db={self.db}"
        return f"{self.scheme}://{at}{self.place}/{self.db}{'?' if options else ''}{options}"


def redis_at(host: str, port: int, db: int, password: Secret | None) -> RedisAddress:
    """Return the address of `REDIS_HOST` and the other parts."""
    return RedisAddress("redis", _place(host, port), db, "", password)


def parse_redis_url(text: str) -> RedisAddress:
    """Parse a Redis URL. Raises ValueError for a text outside `ALLOWED`.

    Strict: a password with an unescaped `/`, `?`, `#` or `@` moves into another part of the URL, where it is
    printed and not used.
    """
    if not _URL_TEXT.fullmatch(text) or "#" in text or text.count("@") > 1:
        raise ValueError("not a URL")
    parts = urlsplit(text)
    user, password = _login(parts)
    if parts.scheme == "unix":
        return _parse_unix(parts, user, password)
    if parts.scheme not in ("redis", "rediss") or not parts.hostname:
        raise ValueError("neither redis, rediss nor unix")
    options = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=True) if parts.query else []
    if "@" in parts.query or not all(_OPTION.fullmatch(name) for name, _ in options):
        raise ValueError("an option that is not ssl_…")
    db = parts.path.removeprefix("/") or "0"
    if not _DB.fullmatch(db):
        raise ValueError("a database is a number")
    port = DEFAULT_PORT if parts.port is None else parts.port
    if port == 0:
        raise ValueError("port 0")
    place = _place(parse_host(parts.hostname), port)
    return RedisAddress(parts.scheme, place, int(db), user, password, parts.query)


def _parse_unix(parts: SplitResult, user: str, password: Secret | None) -> RedisAddress:
    database = re.fullmatch(r"(?:db=([0-9]{1,4}))?", parts.query)
    if parts.hostname or len(parts.path) < 2 or "@" in parts.path or not database:
        raise ValueError("not the path of a socket")
    return RedisAddress("unix", unquote(parts.path), int(database[1] or 0), user, password)


def _login(parts: SplitResult) -> tuple[str, Secret | None]:
    return unquote(parts.username or ""), Secret(unquote(parts.password)) if parts.password else None


def _place(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
