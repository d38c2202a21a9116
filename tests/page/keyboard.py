"""A page without a pointer."""

from __future__ import annotations

from selenium.webdriver.common.keys import Keys as Key

from tests.page.window import Window

#: As many as from the top of the longest page to its end.
_MOST_TABS = 120


class Keyboard:
    """A person who tabs to what has the focus next, sees it, and types."""

    def __init__(self, window: Window) -> None:
        self._window = window

    async def reach(self, selector: str) -> None:
        """Press Tab until an element has the focus, and an outline that shows it."""
        for _ in range(_MOST_TABS):
            await self._window.press(Key.TAB)
            if await self._window.run(
                "return document.activeElement.matches(arguments[0]) && "
                "getComputedStyle(document.activeElement).outlineStyle !== 'none'",
                selector,
            ):
                return
        raise AssertionError(f"Tab does not reach {selector}")

    async def fill(self, selector: str, text: str) -> None:
        """Reach an element, and type."""
        await self.reach(selector)
        await self._window.press(text)

    async def enter(self, selector: str) -> None:
        """Reach an element, and press Enter."""
        await self.reach(selector)
        await self._window.press(Key.ENTER)

    async def press(self, *keys: str) -> None:
        await self._window.press(*keys)
