from __future__ import annotations

from tests.page.test_rendering import page_of


def test_the_bar_names_every_page_and_marks_this_one() -> None:
    reading = page_of()
    links = [attributes for tag, attributes in reading.elements if tag == "a"]
    assert [each["href"] for each in links][:5] == ["/", "/decisions", "/waiting", "/history", "/notices"]
    assert [each["href"] for each in links if each.get("aria-current") == "page"] == ["/"]
    (form,) = [attributes for tag, attributes in reading.elements if tag == "form"]
    assert (form["action"], form["method"]) == ("/find", "get")
