"""Pages that follow the service in a real browser: they ask while somebody can see them, and not else."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
import trio

from tests.integration.test_page import window as window
from tests.integration.waiting import until
from tests.monitoring.status_rig import StatusRig, serving
from tests.page.browser import Browser
from tests.page.window import PATIENCE_SEC, Window

pytestmark = pytest.mark.browser

#: Longer than two rounds of the page, which asks every two seconds.
HIDDEN_SEC = 5.0


class Asked:
    """Counts how often a document is asked for, rendered anew or not."""

    def __init__(self, document: Callable[..., Awaitable[bytes]]) -> None:
        self.times = 0
        self._document = document

    async def __call__(self, *arguments: object) -> bytes:
        self.times += 1
        return await self._document(*arguments)


@pytest.mark.parametrize("path", ["/", "/notices"])
async def test_a_page_asks_while_it_is_seen_and_at_once_when_it_is_seen_again(
    window: Window, chromium: Browser, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = StatusRig()
    source = rig.monitor.page if path == "/" else rig.monitor.notices_page
    asked = Asked(source.document)
    monkeypatch.setattr(source, "document", asked)
    async with serving(rig, within_sec=90) as client:
        await window.open(f"{client.base_url}{path}")
        await until(lambda: asked.times > 2, "the page asks again", PATIENCE_SEC)
        await trio.to_thread.run_sync(chromium.hide)
        await window.comes_true("document.hidden")
        before = asked.times
        await trio.sleep(HIDDEN_SEC)
        # One may have been under way.
        assert asked.times <= before + 1
        before = asked.times
        await trio.to_thread.run_sync(chromium.show)
        await until(lambda: asked.times > before, "the page asks at once", PATIENCE_SEC)


async def test_a_page_that_is_left_asks_no_more(
    window: Window, chromium: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = StatusRig()
    asked = Asked(rig.monitor.page.document)
    monkeypatch.setattr(rig.monitor.page, "document", asked)
    async with serving(rig, within_sec=90) as client:
        await window.open(f"{client.base_url}/")
        await until(lambda: asked.times > 1, "the page asks again", PATIENCE_SEC)
        await window.open(f"{client.base_url}/waiting")
        before = asked.times
        await trio.sleep(HIDDEN_SEC)
        assert asked.times == before
