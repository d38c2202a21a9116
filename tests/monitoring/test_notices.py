"""Notices in `/status` and on their page: since when, seen by whom, and how sending goes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

import httpx
import pytest
import trio

from brain.identifiers import PlanId, Symbol
from channels import Lease, UnknownExecution
from monitoring.firing import STARTING_SEC
from store.notice_records import SeenMark
from tests.background import background
from tests.monitoring.status_rig import NOON_MS, StatusRig, serving
from tests.page.contents import HOSTILE

_HOUR_SEC = 3600.0


@pytest.fixture
def rig() -> StatusRig:
    """Returns one that started long ago, and sends notices to an address with a secret."""
    rig = StatusRig(environment={"P33_NOTICE_URL": "slack+https://hooks.example/s3Kr1t"})
    rig.clock.advance(STARTING_SEC)
    rig.publish("BTCUSDT", "-0.038", age_sec=0.0)
    return rig


@pytest.fixture
async def client(rig: StatusRig) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(rig) as client:
        yield client


def unknown(rig: StatusRig, *plan_ids: str) -> None:
    """Let the outcome of plans be unknown."""
    ends_sec = rig.clock.now().monotonic_sec + 2 * _HOUR_SEC
    rig.channels.unknown_executions.send(
        tuple(UnknownExecution(PlanId(each), Symbol("BTCUSDT"), NOON_MS, ends_sec) for each in plan_ids)
    )


async def test_without_anything_that_fires_page_and_status_say_so(client: httpx.AsyncClient) -> None:
    assert (await client.get("/status")).json()["notices"] == []
    page = await client.get("/notices")
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "Nothing fires." in page.text
    assert '<a href="/notices" aria-current="page">' in page.text


async def test_a_condition_keeps_its_begin_until_it_is_over(
    rig: StatusRig, client: httpx.AsyncClient
) -> None:
    rig.channels.ledgers_adopted.send(False)
    await client.get("/status")
    rig.clock.advance(5)
    (shown,) = (await client.get("/status")).json()["notices"]
    assert (shown["kind"], shown["subject"], shown["for_sec"]) == ("not_ready", "", 5.0)
    rig.channels.ledgers_adopted.send(True)
    assert (await client.get("/status")).json()["notices"] == []
    rig.channels.ledgers_adopted.send(False)
    (again,) = (await client.get("/status")).json()["notices"]
    assert again["for_sec"] == 0.0


async def test_the_page_names_the_person_who_has_seen_it_until_the_mark_is_over(
    rig: StatusRig, client: httpx.AsyncClient
) -> None:
    unknown(rig, "plan-1")
    now_ms = rig.clock.now().wall_ms
    mark = SeenMark("Ann", now_ms + 60_000)
    await rig.store.mark_seen("unknown_execution", "plan-1", mark, now_ms, ("event", "NOTICE_SEEN"))
    assert "seen by Ann until" in (await client.get("/notices")).text
    (shown,) = (await client.get("/status")).json()["notices"]
    assert shown["seen_by"] == "Ann"
    rig.clock.advance(61)
    rig.publish("BTCUSDT", "-0.038", age_sec=0.0)
    assert "not seen yet" in (await client.get("/notices")).text
    (shown,) = (await client.get("/status")).json()["notices"]
    assert (shown["seen_by"], shown["seen_until"]) == (None, None)


async def test_marks_that_cannot_be_read_are_named_and_the_rest_is_shown(
    rig: StatusRig, client: httpx.AsyncClient
) -> None:
    unknown(rig, "plan-1")
    rig.redis.set(rig.keys.seen, "text")
    page = (await client.get("/notices")).text
    assert "Who has seen what is not known: Redis: " in page
    assert "plan-1" in page


@pytest.mark.parametrize("hostile", HOSTILE)
async def test_hostile_texts_are_shown_as_they_are(
    rig: StatusRig, client: httpx.AsyncClient, hostile: str
) -> None:
    unknown(rig, hostile)
    now_ms = rig.clock.now().wall_ms
    mark = SeenMark(hostile, now_ms + 60_000)
    await rig.store.mark_seen("unknown_execution", hostile, mark, now_ms, ("event", "NOTICE_SEEN"))
    page = (await client.get("/notices")).text
    assert "seen by" in page
    assert hostile not in page or not set(hostile) & set("<>&\"'")


async def test_the_address_is_masked_and_its_trouble_is_shown(
    rig: StatusRig, client: httpx.AsyncClient
) -> None:
    (delivery,) = rig.monitor.notices.deliveries
    assert "nothing sent yet" in (await client.get("/notices")).text
    delivery.trouble = "HTTP 500"
    rig.clock.advance(1)
    page = (await client.get("/notices")).text
    assert "slack+https://hooks.example/***" in page
    assert "HTTP 500" in page
    status = (await client.get("/status")).text
    assert "s3Kr1t" not in page + status


async def test_without_an_address_the_page_names_the_setting() -> None:
    async with serving(StatusRig()) as client:
        assert "P33_NOTICE_URL" in (await client.get("/notices")).text


async def test_the_page_is_rendered_once_a_second_however_many_ask(
    rig: StatusRig, client: httpx.AsyncClient
) -> None:
    first = (await client.get("/notices")).text
    unknown(rig, "plan-1")
    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(client.get, "/notices")
    assert (await client.get("/notices")).text == first
    rig.clock.advance(1)
    assert "plan-1" in (await client.get("/notices")).text


async def test_a_standby_shows_what_it_sees(rig: StatusRig, client: httpx.AsyncClient) -> None:
    rig.lease.send(Lease(None, "other:8045"))
    assert (await client.get("/status")).json()["notices"] == []


async def test_a_look_at_thousands_of_symbols_lets_other_tasks_run(rig: StatusRig) -> None:
    for number in range(3000):
        rig.publish(f"S{number}USDT", "0", age_sec=0.0)
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await trio.lowlevel.checkpoint()

    async with background(count):
        await rig.monitor.notices.look()
    assert turns >= 3000 // 200
    assert await rig.monitor.status.whole_in_parts() == rig.monitor.status.whole()


async def test_a_condition_that_ends_while_the_marks_are_read_is_no_trouble(
    rig: StatusRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    unknown(rig, "plan-1")
    read = rig.store.seen_notices

    async def ending() -> Mapping[str, SeenMark]:
        unknown(rig)
        assert rig.monitor.notices.status_document().notices == []
        return await read()

    monkeypatch.setattr(rig.store, "seen_notices", ending)
    await rig.monitor.notices.look()
    (delivery,) = rig.monitor.notices.deliveries
    notice = delivery.outbox.next(rig.clock.now().monotonic_sec)
    assert notice is not None and notice.firing.subject == "plan-1"


async def test_every_condition_is_watched_and_the_most_urgent_two_hundred_are_shown(
    rig: StatusRig, client: httpx.AsyncClient
) -> None:
    unknown(rig, *(f"plan-{number}" for number in range(230)))
    await rig.monitor.notices.look()
    (delivery,) = rig.monitor.notices.deliveries
    sent: set[str] = set()
    for minute in range(20):
        now_sec = rig.clock.now().monotonic_sec + minute * 60
        while (notice := delivery.outbox.next(now_sec)) is not None:
            delivery.outbox.sent(notice, now_sec)
            sent.add(notice.firing.subject)
    assert len(sent) == 230
    status = (await client.get("/status")).json()
    assert (len(status["notices"]), status["notices_left_out"]) == (200, 30)
    assert len(status["unknown_executions"]["executions"]) == 20
    page = (await client.get("/notices")).text
    assert "30 more, less urgent ones, are not shown." in page and "<title>230 notices" in page
