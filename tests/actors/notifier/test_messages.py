"""Bodies of notices: what Slack, Telegram and programs are sent."""

from __future__ import annotations

import json
from typing import Any

import pytest

from actors.notifier.messages import body_of
from monitoring.firing import Firing, NoticeKind
from monitoring.outbox import Notice, Phase
from settings.notices import parse_notice_addresses
from tests.monitoring.status_rig import NOON_MS
from tests.page.contents import HOSTILE

_ADDRESSES = (
    "json+https://a.example/x",
    "slack+https://b.example/x",
    "telegram+https://api.telegram.org/bot12:x?chat_id=-42",
)


def bodies(text: str = "BTCUSDT is held", *, phase: Phase = Phase.FIRING, others: int = 0) -> list[Any]:
    notice = Notice(phase, Firing(NoticeKind.CASE, "BTCUSDT", text), NOON_MS, others)
    addresses = parse_notice_addresses(",".join(_ADDRESSES))
    return [json.loads(body_of(address, notice, "here:8045")) for address in addresses]


def test_each_form_has_its_fields() -> None:
    line = "FIRING case on here:8045: BTCUSDT is held (since 2026-09-21T14:13:20.000Z)"
    assert bodies() == [
        {
            "service": "position-state-brain",
            "instance": "here:8045",
            "kind": "case",
            "subject": "BTCUSDT",
            "state": "firing",
            "text": "BTCUSDT is held",
            "since": "2026-09-21T14:13:20.000Z",
            "others": 0,
        },
        {"text": line},
        {"chat_id": "-42", "text": line, "disable_web_page_preview": True},
    ]


@pytest.mark.parametrize(
    ("phase", "begin"), [(Phase.STILL_FIRING, "STILL FIRING case"), (Phase.RESOLVED, "RESOLVED case")]
)
def test_the_line_says_where_the_condition_stands_and_what_else_changed(phase: Phase, begin: str) -> None:
    first, slack, telegram = bodies(phase=phase, others=12)
    assert (first["state"], first["others"]) == (phase, 12)
    for line in (slack["text"], telegram["text"]):
        assert line.startswith(begin)
        assert line.endswith("and 12 other changes: see /notices")


@pytest.mark.parametrize("hostile", [*HOSTILE, "<!channel>", "<https://evil.example|click>"])
def test_slack_is_sent_no_mention_and_no_link_of_others(hostile: str) -> None:
    text = bodies(hostile)[1]["text"]
    assert not set(text) & {"<", ">"}


def test_a_long_text_is_cut() -> None:
    assert [len(str(body["text"])) < 1200 for body in bodies("x" * 10_000)] == [True, True, True]
