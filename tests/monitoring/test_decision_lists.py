"""`/decisions` by the real actor over a real socket."""

from __future__ import annotations

import csv
import io

import pytest

from page.find_content import DecisionList, ListedDecision
from page.rendering import Page
from tests.monitoring.find_rig import asked, audited, plans, some
from tests.monitoring.status_rig import NOON_MS, StatusRig, serving
from tests.page.test_rendering import Reading

FORM = ("symbol", "reason", "answer", "role", "since", "until", "source", "sort", "order")


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", [3, 2, 1]),
        ("order=asc", [1, 2, 3]),
        ("symbol=btcusdt", [3, 1]),
        ("symbol=ETH", [2]),
        ("reason=reconcile_hold", [2]),
        ("answer=allow", [3, 1]),
        ("answer=deny", [2]),
        ("source=exit", [2]),
        ("since=-1h", [3, 2]),
        ("since=-1H", [3, 2]),
        ("until=-30m", [1]),
        ("since=2026-09-21T14:13:00Z", [3]),
        ("since=2026-09-21T16:13:00+02:00", [3]),
        ("since=2026-09-21T16:13:00%2B02:00", [3]),
        ("sort=latency", [1, 2, 3]),
        ("sort=latency&order=asc", [3, 2, 1]),
        ("sort=symbol&order=asc", [3, 1, 2]),
        ("sort=reason&order=asc", [2, 3, 1]),
        ("symbol=BTCUSDT&answer=deny", []),
    ],
)
async def test_decisions_are_filtered_and_sorted(rig: StatusRig, query: str, found: list[int]) -> None:
    some(rig)
    async with serving(rig) as client:
        reading = await asked(client, f"/decisions?{query}")
    assert plans(reading) == [f"plan-{number:06}" for number in found]
    assert f"{len(found)} of 3 match" in reading.text


async def test_links_of_a_list_keep_its_filter(rig: StatusRig) -> None:
    some(rig)
    async with serving(rig) as client:
        reading = await asked(client, "/decisions?symbol=BTC&since=-3h")
        links = {each.get("href") or "" for tag, each in reading.elements if tag == "a"}
        assert "/decisions.csv?symbol=BTC&since=-3h" in links
        assert "/decisions?symbol=BTC&since=-3h&order=asc" in links
        assert "/decisions?symbol=BTC&since=-3h&sort=latency" in links
        exported = (await client.get("/decisions.csv?symbol=BTC&since=-3h")).text
    rows = list(csv.DictReader(io.StringIO(exported)))
    assert [row["plan_id"] for row in rows] == ["plan-000003", "plan-000001"]
    assert rows[0]["latency_ms"] == "4"


async def test_json_has_the_same_decisions(rig: StatusRig) -> None:
    some(rig)
    async with serving(rig) as client:
        exported = (await client.get("/decisions.json?answer=deny")).json()
    assert exported["reads_back_to_ms"] is None
    (row,) = exported["decisions"]
    assert (row["plan_id"], row["answer"], row["source"]) == ("plan-000002", "deny", "exit")


async def test_a_cell_is_no_formula(rig: StatusRig) -> None:
    audited(rig, "=HYPERLINK(1)", source="@x")
    async with serving(rig) as client:
        (row,) = csv.DictReader(io.StringIO((await client.get("/decisions.csv")).text))
    assert (row["plan_id"], row["source"]) == ("'=HYPERLINK(1)", "'@x")


async def test_pages_have_a_hundred_rows_each(rig: StatusRig) -> None:
    for number in range(250):
        audited(rig, f"plan-{number:06}", back_ms=250 - number)
    async with serving(rig) as client:
        first = await asked(client, "/decisions")
        last = await asked(client, "/decisions?page=3")
        behind = await asked(client, "/decisions?page=99")
    assert plans(first) == [f"plan-{number:06}" for number in range(249, 149, -1)]
    assert plans(last) == plans(behind) == [f"plan-{number:06}" for number in range(49, -1, -1)]
    assert "page 3 of 3" in last.text


def links(reading: Reading, name: str) -> list[str]:
    """Addresses of links whose text or relation this is."""
    return [
        each.get("href") or "" for tag, each in reading.elements if tag == "a" and each.get("rel") == name
    ]


@pytest.mark.parametrize("query", ["", "sort=symbol", "sort=latency&order=asc", "since=-1h", "order=asc"])
async def test_pages_of_one_list_stay_while_decisions_arrive(rig: StatusRig, query: str) -> None:
    for number in range(250):
        audited(rig, f"plan-{number:06}", back_ms=3_599_900 - number)
    async with serving(rig) as client:
        seen: list[str] = []
        address = f"/decisions?{query}"
        for arriving in (300, 400, 500):
            reading = await asked(client, address)
            seen += plans(reading)
            for number in range(arriving, arriving + 60):
                audited(rig, f"plan-{number:06}")
            rig.clock.advance(1)
            (address, *_) = links(reading, "next") or [""]
        assert sorted(seen) == [f"plan-{number:06}" for number in range(250)]
        previous, *_ = links(reading, "prev")
        assert plans(await asked(client, previous)) == seen[100:200]
        newest, *_ = links(reading, "start")
        assert "of 430 match" in (await asked(client, newest)).text
        assert "upto" not in newest and "as_of" not in newest


async def test_times_back_are_counted_from_the_clock_that_dates_the_decisions(rig: StatusRig) -> None:
    some(rig)
    rig.redis.keyspace.now_ms = lambda: NOON_MS + 3_600_000
    async with serving(rig) as client:
        assert plans(await asked(client, "/decisions?since=-61m")) == ["plan-000003", "plan-000002"]
        assert plans(await asked(client, "/decisions?since=-60m")) == []


async def test_later_decisions_are_followed(rig: StatusRig) -> None:
    audited(rig, "plan-000001", back_ms=500)
    async with serving(rig) as client:
        assert plans(await asked(client, "/decisions")) == ["plan-000001"]
        for number in range(2, 460):
            audited(rig, f"plan-{number:06}", back_ms=470 - number)
        assert plans(await asked(client, "/decisions")) == ["plan-000001"]
        rig.clock.advance(1)
        reading = await asked(client, "/decisions")
    assert "459 of 459 match" in reading.text
    assert plans(reading)[0] == "plan-000459"


@pytest.mark.parametrize(
    "query",
    [
        "answer=perhaps",
        "role=x",
        "sort=x",
        "page=0",
        "since=later",
        "symbol=" + "x" * 300,
        "upto=latest",
        "as_of=-1",
    ],
)
async def test_a_parameter_that_cannot_be_read_is_named(rig: StatusRig, query: str) -> None:
    async with serving(rig) as client:
        reading = await asked(client, f"/decisions?{query}", 400)
        assert f"{query.partition('=')[0]}:" in reading.text
        assert (await client.get(f"/decisions.csv?{query}")).status_code == 400


async def test_an_index_without_use_is_dropped(rig: StatusRig) -> None:
    some(rig)
    async with serving(rig) as client:
        await asked(client, "/decisions")
        rig.redis.delete(rig.keys.audit)
        rig.clock.advance(599)
        rig.monitor.find.look()
        assert "of 3 match" in (await asked(client, "/decisions")).text
        rig.clock.advance(601)
        rig.monitor.find.look()
        assert "0 of 0 match" in (await asked(client, "/decisions")).text


def test_a_list_is_rendered_in_parts_of_a_few_rows() -> None:
    row = ListedDecision(
        audit_id="1-0", at_ms=NOON_MS, plan_id="plan-1", symbol="BTCUSDT", answer="deny", reason="x",
        latency_ms=3, source="harvest",
    )  # fmt: skip
    listed = DecisionList(form=dict.fromkeys(FORM, ""), roles=("p33",), rows=(row,) * 100)
    parts = [*Page().document_of("find_decisions.html", listed)]
    assert sum(part.count('<td class="plan">') for part in parts) == 100
    assert max(part.count('<td class="plan">') for part in parts) <= 20
