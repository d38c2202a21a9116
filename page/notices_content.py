"""Content of the page of notices, and the notices of `/status`."""

from __future__ import annotations

import msgspec


class NoticeShown(msgspec.Struct, frozen=True, kw_only=True):
    """A condition that fires: what of, and since when, as far as this process has seen.

    `seen_by`: the person who has acknowledged it, until `seen_until`; null for none.
    """

    kind: str
    subject: str
    text: str
    since: str
    for_sec: float
    seen_by: str | None = None
    seen_until: str | None = None


class AddressShown(msgspec.Struct, frozen=True, kw_only=True):
    """An address that notices are sent to, masked. `trouble`: why the latest one did not arrive."""

    address: str
    sent: int
    last_sent: str | None
    waiting: bool
    trouble: str | None


class NoticesContent(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that the page of notices shows. `unread`: why the marks of seen notices are not known.

    `left_out`: the number of less urgent notices that are not shown.
    """

    as_of_ms: int
    instance: str
    notices: tuple[NoticeShown, ...]
    addresses: tuple[AddressShown, ...]
    unread: str | None
    left_out: int = 0
