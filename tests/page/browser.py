"""Headless Chromium, as an operator's browser: steered through chromedriver, with nothing going outside."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

from selenium.webdriver import ActionChains, Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", "--hide-scrollbars", "--no-proxy-server",
)  # fmt: skip
_PATIENCE_SEC = 30


class BrowserMissingError(Exception):
    """There is no Chromium, or no driver for it, on PATH."""


def browser_paths() -> tuple[str, str]:
    """Find Chromium and its driver. Raises BrowserMissingError."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        missing = "chromium" if chromium is None else "chromedriver"
        raise BrowserMissingError(
            f"{missing} is not on PATH; Debian has both: apt-get install chromium chromium-driver"
        )
    return chromium, driver


class Browser:
    """One window."""

    def __init__(self, driver: Chrome) -> None:
        self.driver = driver

    def allow_scripts(self, *, allowed: bool) -> None:
        """Let pages that are loaded from now on run their scripts, or not."""
        self._command("Emulation.setScriptExecutionDisabled", value=not allowed)

    def open(self, url: str) -> None:
        """Load a page."""
        self.driver.get(url)

    def look_like(
        self, *, width: int, height: int, scheme: Literal["light", "dark"], scale: float = 1
    ) -> None:
        """Be a screen of that size (CSS pixels) and colour scheme; narrow ones are phones."""
        self._command(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=scale, mobile=width < 600,
        )  # fmt: skip
        self._command(
            "Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}]
        )

    def hide(self) -> None:
        """Put the window away, as another tab before it would."""
        self.driver.minimize_window()

    def show(self) -> None:
        """Bring the window back."""
        self.driver.set_window_rect(width=1280, height=900)

    def scripts(self, *, run: bool) -> None:
        """Let the scripts of pages run, or not, as of the next page. What `run` is given runs in any case."""
        self._command("Emulation.setScriptExecutionDisabled", value=not run)

    def run(self, script: str, *arguments: object) -> Any:
        """Run script in the page as a developer's console would; what it returns."""
        return self.driver.execute_script(script, *arguments)

    def text(self, selector: str) -> str:
        """Return the text of the first element that matches, as rendered; empty where there is none."""
        return str(self.run("return document.querySelector(arguments[0])?.innerText ?? ''", selector))

    def click(self, selector: str) -> None:
        """Click the first element that matches, even if it has moved."""
        self.run("document.querySelector(arguments[0]).click()", selector)

    def press(self, *keys: str) -> None:
        """Press keys where the focus is, as at a keyboard: texts, or Selenium's names of other keys."""
        ActionChains(self.driver).send_keys(*keys).perform()

    def complaints(self) -> list[str]:
        """Return the console's messages since the last call: errors, warnings, refusals by policy."""
        return [f"{row['level']}: {row['message']}" for row in self._log("browser")]

    def requested(self) -> set[str]:
        """Return every URL that was asked for since the last look."""
        events = [json.loads(row["message"])["message"] for row in self._log("performance")]
        return {
            event["params"]["request"]["url"]
            for event in events
            if event["method"] == "Network.requestWillBeSent"
        }

    def _log(self, kind: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.driver.execute("getLog", {"type": kind})["value"]
        return rows

    def _command(self, name: str, **parameters: object) -> None:
        self.driver.execute_cdp_cmd(name, parameters)


@contextmanager
def browser() -> Iterator[Browser]:
    """Yield a browser for the length of a block. Raises BrowserMissingError."""
    chromium, driver_path = browser_paths()
    options = ChromeOptions()
    options.binary_location = chromium
    for flag in _FLAGS:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = Chrome(options=options, service=Service(executable_path=driver_path))
    driver.set_page_load_timeout(_PATIENCE_SEC)
    try:
        yield Browser(driver)
    finally:
        driver.quit()
