"""Addresses of notices: read, refused, and masked wherever they are printed."""

from __future__ import annotations

from pathlib import Path

import pytest

from settings import SettingsError, describe, load
from settings.notices import NoticeAddress, parse_notice_addresses

_TOKEN = "s3Kr1t"
_TELEGRAM = f"telegram+https://api.telegram.org/bot12:{_TOKEN}?chat_id=-42"


def test_each_form_is_read_and_telegrams_method_is_added() -> None:
    text = f"json+https://a.example/hook?k=1, slack+https://b.example:8443/x,{_TELEGRAM}"
    assert tuple(parse_notice_addresses(text)) == (
        NoticeAddress("json", "https://a.example", "/hook?k=1"),
        NoticeAddress("slack", "https://b.example:8443", "/x"),
        NoticeAddress("telegram", "https://api.telegram.org", f"/bot12:{_TOKEN}/sendMessage", "-42"),
    )


@pytest.mark.parametrize(
    "text",
    [
        "https://a.example/x",
        "xml+https://a.example/x",
        "json+http://a.example/x",
        "json+ftp://a.example/x",
        "json+https:///x",
        "json+https://user:pass@a.example/x",
        "json+https://a.example/x#y",
        f"json+https://{'a' * 64}.example/x",
        "json+https://a..example/x",
        "json+https://..example/x",
        "json+https://a.example:0/x",
        "json+https://a.example:99999/x",
        "json+https://a.example/ x",
        "json+https://a.example/x,",
        "json+https://a.example/x,json+https://a.example/x",
        "telegram+https://api.telegram.org/bot12:x",
        "telegram+https://api.telegram.org/bot12:x?chat_id=",
        "telegram+https://api.telegram.org/bot12:x?chat_id=1&text=y",
        "telegram+https://api.telegram.org/x?chat_id=1",
        "telegram+https://api.telegram.org/bot12:x?chat_id",
        ",".join(f"json+https://a.example/{number}" for number in range(9)),
    ],
)
def test_a_text_that_is_no_address_stops_the_start_and_is_not_printed(text: str) -> None:
    with pytest.raises(SettingsError, match=r"P33_NOTICE_URL=\*\*\* is not allowed"):
        load({"P33_NOTICE_URL": text})


def test_on_this_machine_an_address_needs_no_encryption() -> None:
    (address,) = parse_notice_addresses("json+http://127.0.0.1:99")
    assert (address.origin, address.target) == ("http://127.0.0.1:99", "/")


def test_printing_the_addresses_shows_form_and_host_alone() -> None:
    loaded = load({"P33_NOTICE_URL": f"{_TELEGRAM},json+https://a.example/{_TOKEN}"})
    (line,) = [line for line in describe(loaded) if line.startswith("P33_NOTICE_URL")]
    assert line == "P33_NOTICE_URL=telegram+https://api.telegram.org/***,json+https://a.example/*** (env)"
    assert _TOKEN not in repr(loaded)


def test_the_addresses_may_come_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(f"{_TELEGRAM}\n")
    loaded = load({"P33_NOTICE_URL_FILE": str(tmp_path / "secret")})
    assert loaded.settings.notice_addresses == parse_notice_addresses(_TELEGRAM)
    assert loaded.origins["P33_NOTICE_URL"] == "file"
