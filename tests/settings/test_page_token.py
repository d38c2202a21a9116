"""The token of the page: what it may be, and a warning where it crosses a network."""

from __future__ import annotations

import pytest

from settings import SettingsError, load

TOKEN = "sixteen-letters-"


@pytest.mark.parametrize(("bind", "warned"), [("127.0.0.1", False), ("localhost", False), ("0.0.0.0", True)])  # noqa: S104
def test_a_token_beyond_loopback_is_a_warning(bind: str, warned: bool) -> None:
    warnings = load({"P33_PAGE_TOKEN": TOKEN, "P33_BIND": bind}).warnings
    assert any("as plain text" in each for each in warnings) is warned
    assert load({"P33_BIND": bind}).warnings == ()
    assert TOKEN not in " ".join(warnings)


@pytest.mark.parametrize(
    "token", ["fifteen-letters", "sixteen letters ..", "sixteen-letters-\u00fc", "x" * 513]
)
def test_a_token_that_is_short_or_hard_to_type_is_refused_and_not_shown(token: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load({"P33_PAGE_TOKEN": token})
    assert str(refused.value) == (
        "P33_PAGE_TOKEN=*** is not allowed: 16 to 512 printable ASCII characters, no spaces"
    )


@pytest.mark.parametrize(
    ("given", "origin"),
    [
        ("https://desk.example.com", "https://desk.example.com"),
        ("https://Desk.Example.com:443/", "https://desk.example.com"),
        ("https://desk.example.com:8443", "https://desk.example.com:8443"),
        ("https://[2001:db8::7]", "https://[2001:db8::7]"),
    ],
)
def test_an_origin_is_read_as_browsers_write_it(given: str, origin: str) -> None:
    assert load({"P33_PAGE_ORIGIN": given}).settings.page_origin == origin
    assert load({}).settings.page_origin is None


@pytest.mark.parametrize(
    "given",
    ["http://desk.example.com", "desk.example.com", "https://", "https://a.example/desk", "https://a@b"],
)
def test_an_origin_with_more_or_less_than_scheme_and_host_is_refused(given: str) -> None:
    with pytest.raises(SettingsError, match=r"https://host\[:port\], nothing behind it"):
        load({"P33_PAGE_ORIGIN": given})
