"""The navigation bar and the foot."""

from __future__ import annotations

import pytest

from page.act_content import ActContent
from page.rendering import Page
from tests.page.contents import content
from tests.page.test_rendering import page_of, read


def test_the_bar_names_every_page_and_marks_this_one() -> None:
    reading = page_of()
    links = [attributes for tag, attributes in reading.elements if tag == "a"]
    paths = [each["href"] for each in links]
    assert paths[:5] == ["/", "/decisions", "/waiting", "/history", "/notices"]
    assert [each["href"] for each in links if each.get("aria-current") == "page"] == ["/"]
    (form,) = [attributes for tag, attributes in reading.elements if tag == "form"]
    assert (form["action"], form["method"]) == ("/find", "get")


@pytest.mark.parametrize("acting", [False, True])
def test_bar_and_foot_say_where_a_person_can_act(acting: bool) -> None:
    page = Page(acting=acting)
    act = page.document_of("act.html", ActContent(enabled=acting))
    for document in ("".join(page.document(content())), "".join(act)):
        paths = [each.get("href") for tag, each in read(document).elements if tag == "a"]
        assert ("/act" in paths, "Read-only." in document) == (acting, not acting)
