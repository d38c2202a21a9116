"""The section of the intent bridge."""

from __future__ import annotations

from page.rendering import Page
from tests.page.contents import content, intents


def rendered(**changes: object) -> str:
    return "".join(Page().document(content(**changes)))


def test_without_a_bridge_there_is_no_section() -> None:
    assert 'id="intents"' not in rendered()


def test_answers_are_shown_with_their_plans_and_counts() -> None:
    html = rendered(intents=intents())
    section = html.partition('<section id="intents"')[2].partition("</section>")[0]
    assert "anti_churn <b>1</b>, plan <b>1</b>" in section
    assert '<a href="/explanation?plan=plan-1" data-explain>plan-1' in section
    assert section.count("data-explain") == 1
    assert '<span class="chip watch">anti_churn</span>' in section
    assert "4 ms" in section


def test_a_bridge_without_answers_shows_no_table() -> None:
    html = rendered(intents=intents(outcomes=(), recent=()))
    section = html.partition('<section id="intents"')[2].partition("</section>")[0]
    assert "<table" not in section
