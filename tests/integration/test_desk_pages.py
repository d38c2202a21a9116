"""History and what waits in a real browser, of a process that stands still."""

from __future__ import annotations

import pytest

from brain.history import MINUTE_MS
from tests.integration.test_page import window as window
from tests.monitoring.status_rig import NOON_MS, StatusRig, serving
from tests.page.window import Window
from tests.store.history_examples import a_minute

pytestmark = pytest.mark.browser

NOW = NOON_MS // MINUTE_MS
HOSTILE = "<img src=x onerror=window.harm=1>"


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_the_history_fits_the_screen_and_can_be_read(window: Window, width: int, scheme: str) -> None:
    rig = StatusRig()
    fence = (await rig.store.hold_lease("here:8045", None, 10**9)).fence
    for ago in range(300, 0, -1):
        await rig.store.write_minute(fence, a_minute(NOW - ago, denied={HOSTILE: ago % 7, "no_position": 1}))
    async with serving(rig, within_sec=60) as client:
        await window.open(f"{client.base_url}/history", width=width, scheme=scheme)  # type: ignore[arg-type]
        text = await window.text()
        assert "3000 allowed" in text
        assert HOSTILE in text
        assert await window.run("return window.harm === undefined")
        assert await window.run("return document.documentElement.scrollWidth <= innerWidth")
        columns = "getComputedStyle(document.querySelector('main')).gridTemplateColumns.split(' ').length"
        assert await window.run(f"return {columns}") == (1 if width == 360 else 3)
        assert await window.pale_texts() == []
        drawn = "document.querySelectorAll('#decisions .lines rect').length"
        assert await window.run(f"return {drawn}") > 200
        boxes = "return [...document.querySelectorAll('.plot .lines[role=img]')].map((e) => e.clientHeight)"
        assert await window.run(boxes) == [150] * 6
        await window.click(".spans a[href*='span=1h']")
        assert "600 allowed" in await window.shows("600 allowed")
        await window.click(".spans li:nth-child(4) a")
        await window.shows("until 2026")
        assert await window.complaints() == []
        hosts = {url.split("/")[2] for url in await window.requested()}
        assert hosts == {client.base_url.netloc.decode()}


@pytest.mark.parametrize(
    ("width", "scheme"), [(360, "dark"), (1280, "light"), (1280, "dark"), (360, "light")]
)
async def test_the_waiting_page_fits_the_screen_and_can_be_read(
    window: Window, width: int, scheme: str
) -> None:
    rig = StatusRig()
    for number in range(30):
        plan, text = f"p:{'p' * 200}{number}", f"BOTH|close|SELL|0.028|{NOON_MS + number}"
        rig.redis.hset(rig.keys.open_permits("BTCUSDT"), {"v": "d1-0", plan: text})
        rig.redis.xadd(rig.keys.dead_plans, {"error": HOSTILE + "e" * 180, "n" * 200: "v" * 200})
    await rig.store.plans.create(lost=True)
    rig.redis.xadd(rig.keys.plans, {"plan_id": HOSTILE, "symbol": HOSTILE})
    await rig.store.plans.read_new(count=1, block_ms=0)
    async with serving(rig, within_sec=60) as client:
        await window.open(f"{client.base_url}/waiting", width=width, scheme=scheme)  # type: ignore[arg-type]
        text = await window.text()
        assert "SELL 0.028 close" in text
        assert HOSTILE in text
        assert await window.run("return window.harm === undefined")
        await window.click("#dead-plans summary")
        await window.comes_true("document.querySelector('#dead-plans dl').checkVisibility()")
        assert await window.run("return document.documentElement.scrollWidth <= innerWidth")
        assert await window.pale_texts() == []
        assert await window.complaints() == []
