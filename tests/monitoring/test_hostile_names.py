"""Names from outside on every page and in every file: shown as text, whatever they look like."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from urllib.parse import quote

import httpx
import pytest

from tests.monitoring.find_rig import audited
from tests.monitoring.full_desk import PATHS, full_desk
from tests.monitoring.status_rig import StatusRig, serving
from tests.page.contents import HOSTILE, INVISIBLE
from tests.page.test_rendering import Reading, read, shape

#: Besides what acts or hides on a page: what path, header, spreadsheet or reader take for something else.
NAMES = (
    *HOSTILE, *INVISIBLE, "%2f", "%00", "..", "../../etc/passwd", "//evil.example/x", "a?b#c", "a b ",
    "\r\nset-cookie: a=1", "\u200fשלום", "\x00", "\x1b[2J", "'", '"', "`", "\\", "&amp;", "ÜUSDT", "🧨" * 70,
    "=1+1", "x" * 256, "x" * 10_000,
)  # fmt: skip


def own_paths(name: str) -> Iterator[str]:
    """Yield the addresses of the pages of one name."""
    quoted = quote(name, safe="")
    yield from (f"/plans/{quoted}", f"/symbols/{quoted}", f"/find?q={quoted}", f"/explanation?plan={quoted}")
    yield f"/decisions?symbol={quoted}&source={quoted}"
    yield f"/decisions?reason={quoted}&since={quoted}&sort={quoted}"


async def page_of(client: httpx.AsyncClient, path: str) -> Reading:
    """Return a page, whose text has nothing invisible and whose links stay in this service."""
    answer = await client.get(path)
    assert answer.status_code in (200, 303, 400, 404), path
    assert "set-cookie" not in answer.headers
    assert answer.headers.get("location", "/").startswith(("/plans/", "/symbols/", "/find?q=", "/")), path
    reading = read(answer.text)
    assert reading.unbalanced == []
    assert reading.text.isprintable(), path
    for tag, attributes in reading.elements:
        target = attributes.get("href") or attributes.get("src") or attributes.get("action") or "/"
        assert target.startswith("/") and not target.startswith("//"), (path, tag, target)
    return reading


@pytest.mark.parametrize("names", [NAMES[::3], NAMES[1::3], NAMES[2::3]], ids=["a", "b", "c"])
async def test_no_name_adds_an_element_or_an_attribute_to_any_page(
    names: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actors.metrics._BURST", 1000)
    harmless = {*PATHS, *own_paths("plan-harmless"), "/decisions?symbol=plan-harmless", "/decisions?symbol=x"}
    known: set[tuple[str, tuple[str, ...]]] = set()
    async with serving(await full_desk("plan-harmless")) as client:
        for path in harmless:
            known |= shape(await page_of(client, path))
    async with serving(await full_desk(*names)) as client:
        for path in (*PATHS, *(path for name in names for path in own_paths(name))):
            assert shape(await page_of(client, path)) - known == set(), path


@pytest.mark.parametrize("begin", ["=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"])
async def test_no_cell_is_a_formula_for_a_spreadsheet(rig: StatusRig, begin: str) -> None:
    text = f'{begin}HYPERLINK("//evil.example")'
    audited(rig, text, symbol=text, source=text)
    async with serving(rig) as client:
        answer = await client.get("/decisions.csv")
        (row,) = csv.DictReader(io.StringIO(answer.text, newline=""))
        (as_json,) = (await client.get("/decisions.json")).json()["decisions"]
    assert not any(value[:1] in "=+-@＝＋－＠\t\r\n" for value in row.values() if value)
    assert len(row) == 8 and None not in row
    assert as_json["plan_id"] == text


async def test_a_file_has_nothing_invisible_and_a_name_of_its_own(rig: StatusRig) -> None:
    for name in NAMES:
        audited(rig, name, symbol=name, source=name)
    async with serving(rig) as client:
        answer = await client.get('/decisions.csv?symbol=%22%0D%0A"x')
        assert answer.headers["content-disposition"] == 'attachment; filename="decisions.csv"'
        everything = await client.get("/decisions.csv")
        as_json = (await client.get("/decisions.json")).json()["decisions"]
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert everything.text.replace("\r\n", "").isprintable()
    rows = list(csv.DictReader(io.StringIO(everything.text, newline="")))
    assert len(rows) == len(as_json) == len(NAMES)
    assert {row["plan_id"] for row in rows} >= {name for name in HOSTILE if not name.startswith("-")}
    assert {each["plan_id"] for each in as_json} == {
        name.encode()[:256].decode(errors="backslashreplace") for name in NAMES
    }
