"""Bodies of notices: generic JSON, Slack's and Telegram's."""

from __future__ import annotations

import msgspec

from brain.moment import iso_utc
from monitoring.outbox import Notice, Phase
from settings.notices import NoticeAddress

_LONGEST_TEXT = 1000
_TITLES = {Phase.FIRING: "FIRING", Phase.STILL_FIRING: "STILL FIRING", Phase.RESOLVED: "RESOLVED"}


class JsonNotice(msgspec.Struct, frozen=True, kw_only=True):
    """The generic body. `others`: changes that are counted here and have no message of their own."""

    service: str
    instance: str
    kind: str
    subject: str
    state: str
    text: str
    since: str
    others: int


def body_of(address: NoticeAddress, notice: Notice, instance: str) -> bytes:
    """Return the body for an address, JSON in each form."""
    if address.form == "json":
        return _encode(
            JsonNotice(
                service="position-state-brain",
                instance=instance,
                kind=notice.firing.kind,
                subject=notice.firing.subject,
                state=notice.phase,
                text=_cut(notice.firing.text),
                since=iso_utc(notice.since_ms),
                others=notice.others,
            )
        )
    text = line_of(notice, instance)
    if address.form == "slack":
        # These three alone have a meaning in Slack's texts: links and mentions begin with one.
        escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        return _encode({"text": escaped})
    return _encode({"chat_id": address.chat_id, "text": text, "disable_web_page_preview": True})


def line_of(notice: Notice, instance: str) -> str:
    """Return the notice as a text for people."""
    text = f"{_TITLES[notice.phase]} {notice.firing.kind} on {instance}: {_cut(notice.firing.text)}"
    text += f" (since {iso_utc(notice.since_ms)})"
    if notice.others:
        text += f" and {notice.others} other changes: see /notices"
    return text


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}…"


_encode = msgspec.json.encode
