"""Pages cost what their lookers make them cost: one rendering for all who ask at once, none for nobody."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
import trio
import trio.testing

from monitoring.page_view.cache import PageCache
from page.rendering import Page
from store.notice_records import SeenMark
from supervision import Heartbeat
from tests.background import background
from tests.integration.waiting import until
from tests.monitoring.acting_desk import TOKEN, Desk, hidden
from tests.monitoring.find_rig import some
from tests.monitoring.status_rig import StatusRig, serving
from tests.monitoring.test_acting_beside import letter
from tests.monitoring.test_notices import unknown
from tests.page.test_rendering import read

PAGES = (
    "/", "/waiting", "/notices", "/history", "/decisions", "/symbols/BTCUSDT", "/plans/plan-000001",
    "/explanation?plan=plan-000001",
)  # fmt: skip
CLIENTS = 50


class Costs:
    """Counts the renderings of pages, and the calls of Redis."""

    def __init__(self, rig: StatusRig, monkeypatch: pytest.MonkeyPatch) -> None:
        self.renderings: list[str] = []
        self.redis_calls = 0
        crossing = rig.store._crossing
        document, document_of, explanation = Page.document, Page.document_of, Page.explanation

        async def crossed() -> None:
            self.redis_calls += 1
            await crossing()

        def overview(page: Page, content: object) -> object:
            self.renderings.append("overview")
            return document(page, content)  # type: ignore[arg-type]

        def other(page: Page, name: str, *rest: object) -> object:
            self.renderings.append(name)
            return document_of(page, name, *rest)  # type: ignore[arg-type]

        def explained(page: Page, sections: object) -> str:
            self.renderings.append("explanation")
            return explanation(page, sections)  # type: ignore[arg-type]

        rig.store._crossing = crossed
        monkeypatch.setattr(Page, "explanation", explained)
        monkeypatch.setattr(Page, "document", overview)
        monkeypatch.setattr(Page, "document_of", other)

    def taken(self) -> tuple[list[str], int]:
        """Return what was counted since the last call."""
        costs = self.renderings, self.redis_calls
        self.renderings, self.redis_calls = [], 0
        return costs


@pytest.fixture
def rig() -> StatusRig:
    rig = StatusRig(token=TOKEN, environment={"P33_GOVERNOR": "off"})
    some(rig)
    rig.decided("plan-000001")
    letter(rig)
    unknown(rig, "plan-000001")
    return rig


@pytest.fixture
def costs(rig: StatusRig, monkeypatch: pytest.MonkeyPatch) -> Costs:
    return Costs(rig, monkeypatch)


async def asked_at_once(client: httpx.AsyncClient, addresses: list[str]) -> None:
    async def ask(address: str) -> None:
        assert (await client.get(address)).status_code == 200

    async with trio.open_nursery() as nursery:
        for address in addresses:
            nursery.start_soon(ask, address)


@pytest.fixture
async def client(rig: StatusRig) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(rig) as client:
        yield client


async def test_without_a_looker_nothing_is_rendered_and_nothing_read(
    rig: StatusRig, costs: Costs, autojump_clock: trio.testing.MockClock
) -> None:
    async with background(rig.metrics.run, Heartbeat()):
        await trio.sleep(3600)
    assert costs.taken() == ([], 0)


@pytest.mark.parametrize("address", PAGES)
async def test_of_one_second_fifty_lookers_cost_one_rendering(
    rig: StatusRig, costs: Costs, client: httpx.AsyncClient, address: str
) -> None:
    await client.get(address)
    _, calls_of_one = costs.taken()
    rig.clock.advance(61)
    rig.publish("BTCUSDT", "-0.038", age_sec=0.0)
    await asked_at_once(client, [address] * CLIENTS)
    renderings, calls = costs.taken()
    assert len(renderings) == 1
    assert calls <= calls_of_one + 2


async def test_fifty_lookers_with_and_without_a_session_cost_two_renderings(
    rig: StatusRig, costs: Costs, client: httpx.AsyncClient
) -> None:
    desk = Desk(rig, client)
    await desk.log_in()
    costs.taken()
    async with (
        httpx.AsyncClient(base_url=client.base_url, trust_env=False) as other,
        trio.open_nursery() as all_,
    ):
        all_.start_soon(asked_at_once, client, ["/waiting"] * (CLIENTS // 2))
        all_.start_soon(asked_at_once, other, ["/waiting"] * (CLIENTS // 2))
    renderings, _ = costs.taken()
    assert renderings == ["waiting.html"] * 2


async def test_for_a_client_that_has_gone_nothing_more_is_made(
    rig: StatusRig, costs: Costs, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    await client.get("/decisions")
    costs.taken()
    go_on = trio.Event()
    document_of = PageCache.document_of

    async def slow(page: PageCache, template: str, *rest: object) -> bytes:
        await go_on.wait()
        return await document_of(page, template, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(PageCache, "document_of", slow)
    with trio.move_on_after(1):
        await asked_at_once(client, [f"/decisions?page={number}" for number in range(2, 20)])
    await client.aclose()
    await trio.testing.wait_all_tasks_blocked(0.05)
    go_on.set()
    await trio.testing.wait_all_tasks_blocked(0.05)
    assert costs.taken()[0] == []
    async with httpx.AsyncClient(base_url=client.base_url, trust_env=False) as another:
        assert (await another.get("/decisions?page=2")).status_code == 200


async def test_a_read_that_its_client_gave_up_is_made_again_for_the_next(
    rig: StatusRig, client: httpx.AsyncClient
) -> None:
    rig.redis.set(rig.keys.hold("BTCUSDT"), "drift")
    crossing = rig.store._crossing
    rig.store._crossing = trio.sleep_forever
    for address in ("/", "/notices"):
        async with httpx.AsyncClient(base_url=client.base_url, trust_env=False) as impatient:
            with pytest.raises(httpx.ReadTimeout):
                await impatient.get(address, timeout=0.1)
    rig.store._crossing = crossing
    now_ms = rig.clock.now().wall_ms
    mark = SeenMark("Ann", now_ms + 60_000)
    await rig.store.mark_seen("unknown_execution", "plan-000001", mark, now_ms, ("event", "NOTICE_SEEN"))
    assert "BTCUSDT held" in read((await client.get("/")).text).text
    assert "seen by Ann" in (await client.get("/notices")).text


async def test_an_act_is_done_and_audited_although_its_person_has_gone(
    rig: StatusRig, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = Desk(rig, client)
    await desk.log_in()
    question = await desk.ask("hold", {"symbol": "BTCUSDT", "reason": "a drill"})
    crossing, go_on = rig.store._crossing, trio.Event()

    async def slow() -> None:
        await go_on.wait()
        await crossing()

    rig.store._crossing = slow
    form = hidden(read(question.text))
    async with httpx.AsyncClient(base_url=client.base_url, trust_env=False, cookies=client.cookies) as gone:
        with pytest.raises(httpx.ReadTimeout):
            await gone.post("/act/hold", data=form, headers={"origin": desk.origin}, timeout=0.1)
    go_on.set()
    await until(lambda: desk.events("p33.events"), "the event of the act", 5)
    assert rig.redis.get(rig.keys.hold("BTCUSDT")) is not None
