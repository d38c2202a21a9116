"""The page of notices as a document."""

from __future__ import annotations

from page.notices_content import NoticesContent, NoticeShown
from page.rendering import Page
from tests.page.test_rendering import read


def notice(kind: str, subject: str) -> NoticeShown:
    return NoticeShown(
        kind=kind, subject=subject, text="of a test", since="2025-10-09T12:00:00Z", for_sec=5.0
    )


def test_a_subject_that_has_a_page_leads_to_it() -> None:
    notices = (
        notice("unknown_execution", "plan/1"), notice("case", "BTCUSDT"), notice("divergence", "ETHUSDT"),
        notice("restart_limit", "shards"),
    )  # fmt: skip
    shown = NoticesContent(as_of_ms=0, instance="one", notices=notices, addresses=(), unread=None)
    reading = read("".join(Page().document_of("notices.html", shown)))
    assert reading.unbalanced == []
    links = [attributes["href"] for tag, attributes in reading.elements if tag == "a"]
    assert [each for each in links if each and each.startswith(("/plans/", "/symbols/"))] == [
        "/plans/plan%2F1", "/symbols/BTCUSDT", "/symbols/ETHUSDT",
    ]  # fmt: skip
    assert "shards" in reading.text
