"""Address of Redis, from a URL or from parts, printed without its password."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit

from settings.hosts import parse_host
from settings.secret import MASK, Secret

ALLOWED = (
    "redis://[user:password@]host[:port][/db], the same with rediss:// for TLS (options ssl_…=… after a ?), "
    "redis+sentinel://[user:password@]host[:port][,host[:port]…]/SERVICE[/db] (TLS: rediss+sentinel; "
    "Sentinels' login: ?sentinel_username=…&sentinel_password=…), or unix:///path[?db=0]; special characters "
    "in the password as %XX"
)
DEFAULT_PORT = 6379
SENTINEL_PORT = 26379
MAX_DB = 9999

_FOR_SENTINELS = "sentinel_password"
_URL_TEXT = re.compile(r"[!-~]{1,1024}")
_DB = re.compile(r"[0-9]{1,4}")
_OPTION = re.compile(r"ssl_[a-z_]+")
_SENTINEL_OPTION = re.compile(r"ssl_[a-z_]+|sentinel_(username|password)")
# Not by urlsplit, which in newer versions of Python refuses IPv6 addresses in a list of hosts. Redis allows
# no other characters in the name of a service.
_SENTINELS = re.compile(
    r"(?P<scheme>rediss?\+sentinel)://(?:(?P<user>[^:@/]*)(?::(?P<password>[^@/]*))?@)?(?P<hosts>[^@/?]+)"
    r"/(?P<service>[A-Za-z0-9._-]{1,128})(?:/(?P<db>[0-9]{1,4})?)?(?:\?(?P<options>.+))?"
)


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """Address of a Redis database. `str()` may be logged: it has `***` for user and password."""

    scheme: str
    """`redis`, `rediss` (TLS), `unix`, `redis+sentinel` or `rediss+sentinel` (TLS)."""
    place: str
    """`host:port`, of Sentinels `host:port,host:port/service`, or the path of the socket."""
    db: int = 0
    user: str = ""
    password: Secret | None = None
    options: str = field(default="", repr=False)
    """The `ssl_…` and `sentinel_…` options of a URL, as they were given; the latter may be a password."""

    def url(self) -> str:
        """Return the URL for the clients of Redis, with the passwords: never log it."""
        password = f":{quote(self.password.reveal(), safe='')}" if self.password else ""
        return self._text(f"{quote(self.user, safe='')}{password}", self.options)

    @property
    def names_sentinels(self) -> bool:
        """Return True if Sentinels answer there, which name the server."""
        return self.scheme.endswith("+sentinel")

    @property
    def has_sentinel_password(self) -> bool:
        """Return True if the URL has a password for the Sentinels."""
        return _FOR_SENTINELS in dict(parse_qsl(self.options))

    def with_passwords(self, password: Secret | None, for_sentinels: Secret | None) -> RedisAddress:
        """Return the address with each of the passwords, unless it has that one of its own."""
        options = self.options
        if for_sentinels and self.names_sentinels and not self.has_sentinel_password:
            option = f"{_FOR_SENTINELS}={quote(for_sentinels.reveal(), safe='')}"
            options = f"{options}&{option}" if options else option
        return replace(self, password=self.password or password, options=options)

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
    if sentinels := _SENTINELS.fullmatch(text):
        return _parse_sentinels(sentinels)
    parts = urlsplit(text)
    user, password = _login(parts.username, parts.password)
    if parts.scheme == "unix":
        return _parse_unix(parts, user, password)
    if parts.scheme not in ("redis", "rediss") or not parts.hostname:
        raise ValueError("neither redis, rediss nor unix")
    _check_options(parts.query, _OPTION)
    db = parts.path.removeprefix("/") or "0"
    if not _DB.fullmatch(db):
        raise ValueError("a database is a number")
    place = _parse_place(parts, DEFAULT_PORT)
    return RedisAddress(parts.scheme, place, int(db), user, password, parts.query)


def _parse_sentinels(parts: re.Match[str]) -> RedisAddress:
    options = parts["options"] or ""
    _check_options(options, _SENTINEL_OPTION)
    hosts = ",".join(_parse_place(urlsplit(f"//{host}"), SENTINEL_PORT) for host in parts["hosts"].split(","))
    user, password = _login(parts["user"], parts["password"])
    return RedisAddress(
        parts["scheme"], f"{hosts}/{parts['service']}", int(parts["db"] or 0), user, password, options
    )


def _parse_unix(parts: SplitResult, user: str, password: Secret | None) -> RedisAddress:
    database = re.fullmatch(r"(?:db=([0-9]{1,4}))?", parts.query)
    if parts.hostname or len(parts.path) < 2 or "@" in parts.path or not database:
        raise ValueError("not the path of a socket")
    return RedisAddress("unix", unquote(parts.path), int(database[1] or 0), user, password)


def _login(user: str | None, password: str | None) -> tuple[str, Secret | None]:
    return unquote(user or ""), Secret(unquote(password)) if password else None


def _check_options(query: str, allowed: re.Pattern[str]) -> None:
    options = parse_qsl(query, keep_blank_values=True, strict_parsing=True) if query else []
    if "@" in query or not all(allowed.fullmatch(name) for name, _ in options):
        raise ValueError("an option that is not allowed")


def _parse_place(parts: SplitResult, default_port: int) -> str:
    port = default_port if parts.port is None else parts.port
    if port == 0:
        raise ValueError("port 0")
    return _place(parse_host(parts.hostname or ""), port)


def _place(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
