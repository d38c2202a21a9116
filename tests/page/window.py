"""The browser for a test that runs a service beside it: every look is made in a thread."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Literal, TypeVar

import trio

from tests.integration.waiting import until_async
from tests.page.axe import ALL, COLOURS, LAYOUT, faults
from tests.page.browser import Browser

T = TypeVar("T")

_LOOKS: tuple[tuple[str, int, Literal["light", "dark"], Mapping[str, object]], ...] = (
    ("light", 1280, "light", ALL), ("dark", 1280, "dark", COLOURS), ("phone", 360, "light", LAYOUT),
)  # fmt: skip
#: The page asks every two seconds, and the machine may have much to do.
PATIENCE_SEC = 30.0

#: Pairs of text and background with less contrast than WCAG's AA requires.
_PALE = """
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b]
    .map((v) => v / 255)
    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (element) => {
    for (let at = element; at !== null; at = at.parentElement) {
      const colour = parse(getComputedStyle(at).backgroundColor);
      if (colour.length < 4 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const pale = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((n) => n.nodeType === 3 && n.data.trim() !== "");
    if (!own || element.closest("svg, .hidden") || element.getClientRects().length === 0) continue;
    const lights = [light(parse(getComputedStyle(element).color)), light(ground(element))].sort();
    const ratio = (Math.max(...lights) + 0.05) / (Math.min(...lights) + 0.05);
    if (ratio < 4.5) pale.push(`${element.outerHTML.slice(0, 80)} ${ratio.toFixed(2)}`);
  }
  return pale;
"""


class Window:
    """A browser window, with an operator's actions."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser

    async def allow_scripts(self, *, allowed: bool) -> None:
        """Let pages that are loaded from now on run their scripts, or not."""
        await self._in_thread(partial(self._browser.allow_scripts, allowed=allowed))

    async def open(self, url: str, *, width: int = 1280, scheme: Literal["light", "dark"] = "light") -> None:
        """Load a page on a screen of that width, after forgetting what was said before."""
        await self._in_thread(self._browser.complaints)
        await self._in_thread(self._browser.requested)
        await self.looks_like(width=width, scheme=scheme)
        await self._in_thread(self._browser.open, url)

    async def run(self, script: str, *arguments: object) -> Any:
        return await self._in_thread(self._browser.run, script, *arguments)

    async def click(self, selector: str) -> None:
        await self._in_thread(self._browser.click, selector)

    async def press(self, *keys: str) -> None:
        await self._in_thread(self._browser.press, *keys)

    async def text(self, selector: str = "body") -> str:
        return await self._in_thread(self._browser.text, selector)

    async def shows(self, *shown: str, selector: str = "body") -> str:
        """Wait until all of this can be read there; all that can be."""

        text = ""

        async def look() -> bool:
            nonlocal text
            text = await self.text(selector)
            return all(each in text for each in shown)

        try:
            await until_async(look, f"{shown} in {selector}", PATIENCE_SEC)
        except AssertionError as late:
            raise AssertionError(f"{late}; there is: {text[:1000]}") from None
        return text

    async def comes_true(self, expression: str) -> None:
        """Wait until an expression of the page's own language is true."""

        async def look() -> bool:
            return bool(await self.run(f"return {expression}"))

        await until_async(look, expression, PATIENCE_SEC)

    async def pale_texts(self) -> list[str]:
        """Texts that not everybody can read against what is behind them."""
        found: list[str] = await self.run(_PALE)
        return found

    async def looks_like(self, *, width: int, scheme: Literal["light", "dark"]) -> None:
        """Become another screen, with the page as it is."""
        await self._in_thread(partial(self._browser.look_like, width=width, height=900, scheme=scheme))

    async def faults(self) -> list[str]:
        """Return what axe-core finds serious or critical, in both schemes and on a phone."""
        found: list[str] = []
        for name, width, scheme, options in _LOOKS:
            await self.looks_like(width=width, scheme=scheme)
            found += [f"{name}: {each}" for each in await self._in_thread(faults, self._browser, options)]
        return found

    async def complaints(self) -> list[str]:
        """Return the console's messages: errors, warnings, refusals by policy."""
        return await self._in_thread(self._browser.complaints)

    async def requested(self) -> set[str]:
        """Return every URL that was asked for since the page was opened."""
        return await self._in_thread(self._browser.requested)

    async def _in_thread(self, look: Callable[..., T], *arguments: object) -> T:
        return await trio.to_thread.run_sync(partial(look, *arguments))
