"""`/history` over HTTP: read within a deadline, rendered for all lookers together, with bad input named."""

from __future__ import annotations

import httpx
import pytest
import trio

from brain.history import MINUTE_MS
from monitoring.page_view.history import HistoryView
from store.keys import Keys
from store.memory.store import MemoryStore
from tests.background import background
from tests.monitoring.status_rig import NOON_MS, StatusRig, serving
from tests.page.test_rendering import read
from tests.store.history_examples import a_minute

NOW = NOON_MS // MINUTE_MS


async def write(rig: StatusRig, *numbers: int) -> None:
    fence = (await rig.store.hold_lease("here:8045", None, 10**9)).fence
    for number in numbers:
        assert await rig.store.write_minute(fence, a_minute(number))


async def text_of(client: httpx.AsyncClient, path: str = "/history") -> str:
    answer = await client.get(path)
    assert answer.status_code == 200
    reading = read(answer.text)
    assert reading.unbalanced == []
    return reading.text


async def test_the_minutes_in_redis_are_shown_by_whoever_serves_the_page(rig: StatusRig) -> None:
    await write(rig, *range(NOW - 90, NOW))
    async with serving(rig) as client:
        assert "900 allowed, 270 denied" in await text_of(client)
        assert "600 allowed, 180 denied" in await text_of(client, "/history?span=1h")
        assert "300 allowed, 90 denied" in await text_of(client, f"/history?span=1h&end={NOW - 60}")


async def test_without_a_minute_there_is_a_page_that_says_so(client: httpx.AsyncClient) -> None:
    assert "no minute has ended yet" in await text_of(client)


@pytest.mark.parametrize(
    "query",
    ["span=2h", "span=", "span=%3Cscript%3E", "end=x", "end=-1", "end=", f"end={'9' * 300}", "end=%D9%A1"],
)  # fmt: skip
async def test_a_bad_span_or_end_is_named(client: httpx.AsyncClient, query: str) -> None:
    answer = await client.get(f"/history?{query}")
    assert answer.status_code == 400
    assert answer.json()["error"].startswith(query.partition("=")[0])


@pytest.mark.parametrize("end", [0, NOW - 5000, NOW + 5000, 999_999_999])
async def test_an_end_beyond_what_is_kept_shows_the_nearest(rig: StatusRig, end: int) -> None:
    await write(rig, NOW - 1439, NOW - 1)
    async with serving(rig) as client:
        assert "10 allowed, 3 denied" in await text_of(client, f"/history?span=1h&end={end}")


async def test_the_page_shows_what_was_read_before_while_redis_does_not_answer(rig: StatusRig) -> None:
    await write(rig, NOW - 1)
    async with serving(rig) as client:
        await text_of(client)
        rig.clock.advance(60)
        with rig.redis.faults.outage():
            text = await text_of(client)
            assert "Redis does not answer: shown is what was read before." in text
            assert "10 allowed, 3 denied" in text
        rig.clock.advance(10)
        assert "Redis does not answer" not in await text_of(client)


async def test_a_history_of_another_type_is_no_fault_of_the_page(rig: StatusRig) -> None:
    rig.redis.set("quantum:p33:history", "mine")
    async with serving(rig) as client:
        assert "Redis does not answer" in await text_of(client)


async def test_a_redis_that_hangs_costs_half_a_second(autojump_clock: trio.testing.MockClock) -> None:
    rig = StatusRig()
    store = MemoryStore(rig.redis, keys=Keys("quantum"), consumer="me", crossing=trio.sleep_forever)
    view = HistoryView(
        store, rig.clocks, rig.budget, stale_threshold_sec=10.0, render=rig.monitor.page.document_of
    )
    begun_sec = trio.current_time()
    assert b"Redis does not answer" in await view.document("24h", None)
    assert trio.current_time() - begun_sec == pytest.approx(0.5, abs=0.01)


async def test_ten_lookers_cost_one_read_and_one_rendering(rig: StatusRig) -> None:
    await write(rig, NOW - 1)
    view, reads = rig.monitor.history_page, 0
    minutes = rig.store.minutes

    async def counted(first: int, last: int) -> object:
        nonlocal reads
        reads += 1
        return await minutes(first, last)

    rig.store.minutes = counted  # type: ignore[method-assign, assignment]
    documents: set[bytes] = set()

    async def look() -> None:
        documents.add(await view.document("24h", None))

    async with trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(look)
    assert (len(documents), reads) == (1, 1)
    for end in range(NOW - 60, NOW):
        await view.document("1h", end)
    assert reads == 1


async def test_rendering_a_day_lets_others_work_in_between(rig: StatusRig) -> None:
    await write(rig, *range(NOW - 1440, NOW))
    looks = 0

    async def others() -> None:
        nonlocal looks
        while True:
            looks += 1
            await trio.lowlevel.checkpoint()

    async with background(others):
        await rig.monitor.history_page.document("24h", None)
    assert looks > 30
