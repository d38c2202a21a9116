"""Hostile and very long names in a real browser, on each page of a phone."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from supervision import Heartbeat
from tests.background import background
from tests.integration.test_acting_on_page import window as window
from tests.integration.test_page import TRAP
from tests.monitoring.full_desk import PATHS, full_desk
from tests.page.contents import HOSTILE, INVISIBLE
from tests.page.window import Window

pytestmark = pytest.mark.browser

LONG = "W" * 256
ROUSE = (
    "for (const each of document.querySelectorAll('*')) {"
    " each.dispatchEvent(new MouseEvent('mouseover')); each.focus?.(); }"
)


async def test_hostile_and_long_names_do_no_harm_and_fit_a_phone(window: Window) -> None:
    rig = await full_desk(*HOSTILE, *INVISIBLE, LONG)
    own = [f"/{kind}/{quote(name, safe='')}" for kind in ("plans", "symbols") for name in (HOSTILE[1], LONG)]
    async with background(rig.metrics.run, Heartbeat()):
        url = await rig.channels.http_address.changed()
        for path in (*PATHS, *own, f"/find?q={quote(HOSTILE[1])}"):
            await window.open(f"{url}{path}", width=360)
            await window.run(TRAP)
            await window.run("for (const each of document.querySelectorAll('details')) each.open = true")
            await window.run(ROUSE)
            assert await window.run("return window.harm") == [], path
            assert await window.run("return document.documentElement.scrollWidth") == 360, path
            planted = "main script, main iframe, main img, svg[onload]"
            assert await window.run(f"return document.querySelectorAll('{planted}').length") == 0, path
            text = await window.text()
            assert all(each.isprintable() or each in "\n\t" for each in text), path
            assert [each for each in await window.complaints() if "status of 404" not in each] == [], path
            requested = await window.requested()
            assert [each[:200] for each in requested if not each.startswith(url)] == [], path[:100]
