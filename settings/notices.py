"""Environment variables of notices, and the addresses that they are sent to."""

# The declarations below are calls that return dataclass fields, like `dataclasses.field`.
# ruff: noqa: RUF009

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal, cast, final
from urllib.parse import parse_qs, urlsplit

from settings import kinds
from settings.hosts import is_loopback, parse_host
from settings.secret import MASK
from settings.variable import optional, setting

NoticeFormat = Literal["json", "slack", "telegram"]

_FORMATS: Final = ("json", "slack", "telegram")
#: Printable ASCII but quotes, commas and backslashes.
_URL_TEXT: Final = re.compile(r"[!#-&(-+\--\[\]^-~]{1,2000}")
_CHAT_ID: Final = re.compile(r"-?[0-9]{1,32}|@[A-Za-z0-9_]{1,64}")
_MOST_ADDRESSES: Final = 8
_ALLOWED: Final = (
    "1 to 8 addresses with commas, json+https://…, slack+https://… or telegram+https://…/bot…?chat_id=…; "
    "http on this machine"
)


@final
class NoticeAddress:
    """An address that notices are sent to. Printing it shows form and host; the path may be a password."""

    __slots__ = ("chat_id", "form", "origin", "target")

    def __init__(self, form: NoticeFormat, origin: str, target: str, chat_id: str = "") -> None:
        """`origin`: scheme and host; `target`: path and query, as they are sent. `chat_id`: of Telegram."""
        self.form = form
        self.origin = origin
        self.target = target
        self.chat_id = chat_id

    def __str__(self) -> str:
        return f"{self.form}+{self.origin}/{MASK}"

    def __repr__(self) -> str:
        return f"NoticeAddress({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, NoticeAddress) and self._all() == other._all()

    def __hash__(self) -> int:
        return hash(self._all())

    def _all(self) -> tuple[str, ...]:
        return self.form, self.origin, self.target, self.chat_id


@final
class NoticeAddresses(tuple[NoticeAddress, ...]):
    """The addresses, in the order given; masked on one line."""

    __slots__ = ()

    def __str__(self) -> str:
        return ",".join(map(str, self))


def _notice_addresses() -> kinds.Kind[NoticeAddresses]:
    return kinds.Kind(_ALLOWED, parse_notice_addresses, show_refused=lambda _: MASK, is_secret=True)


def parse_notice_addresses(text: str) -> NoticeAddresses:
    """Return the addresses of a comma list. Raises ValueError for a text that is none."""
    addresses = NoticeAddresses(_address(part.strip()) for part in text.split(","))
    if len(addresses) > _MOST_ADDRESSES or len(set(addresses)) < len(addresses):
        raise ValueError("too many addresses, or one twice")
    return addresses


def _address(text: str) -> NoticeAddress:
    form, plus, url = text.partition("+")
    if form not in _FORMATS or not plus or not _URL_TEXT.fullmatch(url):
        raise ValueError("not an address of a notice")
    parts = urlsplit(url)
    if parts.scheme not in ("https", "http") or not parts.hostname or parts.port == 0 or "@" in parts.netloc:
        raise ValueError("scheme or host missing, or a user in it")
    parse_host(parts.hostname)
    if parts.fragment or (parts.scheme == "http" and not is_loopback(url)):
        raise ValueError("not encrypted, or with a fragment")
    origin, query = f"{parts.scheme}://{parts.netloc}", parts.query
    chat_id = ""
    path = parts.path or "/"
    if form == "telegram":
        given = parse_qs(query, strict_parsing=True)
        chat_id = given.get("chat_id", [""])[0]
        if list(given) != ["chat_id"] or not _CHAT_ID.fullmatch(chat_id) or "/bot" not in path:
            raise ValueError("no bot or no chat")
        path, query = f"{path.rstrip('/')}/sendMessage", ""
    target = f"{path}?{query}" if query else path
    return NoticeAddress(cast(NoticeFormat, form), origin, target, chat_id)


@dataclass(frozen=True, kw_only=True)
class NoticeSettings:
    """Settings of notices."""

    notice_addresses: NoticeAddresses | None = optional(
        "P33_NOTICE_URL", _notice_addresses(), "where notices are sent, with commas; none are sent without it"
    )
    notice_repeat_sec: float = setting(
        "P33_NOTICE_REPEAT_SEC",
        kinds.seconds(60, 604800),
        "3600",
        "a notice of what goes on is sent again after so long",
    )
