"""Takes pictures of all pages: `make screenshots`.

Those that a document shows go to docs/images, all others to build/screenshots. They are of a running demo;
only the history and the page for acting are of a service that stands still.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from io import StringIO
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.terminal_theme import SVG_EXPORT_THEME
from rich.text import Text

from commands import EXIT_INCONCLUSIVE
from commands.console.progress import with_progress
from tests.monitoring.acting_desk import TOKEN
from tests.page.browser import Browser, BrowserMissingError, browser
from tests.page.standing_desk import standing_desk

ROOT = Path(__file__).resolve().parents[2]
IMAGES, OTHERS = ROOT / "docs" / "images", ROOT / "build" / "screenshots"
LARGEST_BYTES = 200_000

SCREENS: tuple[tuple[str, int, Literal["light", "dark"]], ...] = (
    ("light", 1200, "light"), ("dark", 1200, "dark"), ("phone", 360, "light"),
)  # fmt: skip
#: Until the charts have something to show.
_PLAYS_SEC = 200
_URL = re.compile(r"http://127\.0\.0\.1:\d+/")
_COLUMNS = 104
#: The terminal of the live view, and how long its demo plays: all events are on stage then.
_FRAME_COLUMNS, _FRAME_ROWS, _STAGE_SEC = 100, 30, 37
_NEXT_FRAME = re.compile(r"(?:\x1b\[1A\x1b\[2K)+")
_TERMINAL = """<!doctype html><meta charset="utf-8"><style>
  body {{ margin: 0; background: #16181d; color: #e6e6e6; }}
  pre {{ display: inline-block; margin: 0; padding: 22px 26px; }}
  pre {{ font: 14px/1.35 "DejaVu Sans Mono", monospace; }}
</style><pre>{code}</pre>"""


@contextmanager
def demo() -> Iterator[str]:
    """Yield a demo that plays; the address of its page."""
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "commands", "demo", "--seconds", "600"],
            cwd=ROOT,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            while True:
                output.seek(0)
                text = output.read()
                if found := _URL.search(text):
                    break
                if process.poll() is not None:
                    raise SystemExit(f"The demo ended: {text}")
                time.sleep(0.2)
            yield found[0]
        finally:
            end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """Press Ctrl-C: the demo sums up, which takes long on a busy machine; then again: it ends without."""
    for patience_sec in (60, 30):
        process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(patience_sec)
            return
    process.kill()
    process.wait()


def take(window: Browser, url: str) -> None:
    """All pictures."""
    page(window, url, "page-light", width=1200, height=960, scheme="light")
    page(window, url, "page-dark", width=1200, height=960, scheme="dark")
    page(window, url, "page-phone", width=360, height=900, scheme="light")
    page(window, url, "page-phone-dark", width=360, height=900, scheme="dark")
    window.look_like(width=1000, height=760, scheme="light")
    window.open(url)
    window.run("document.querySelector('tr.denied a[data-explain]').click()")
    wait_until(window, "document.querySelector('#why').open")
    keep(window, "explanation")
    find(window, url)
    terminal(window, url)


def find(window: Browser, url: str) -> None:
    """The list of decisions, a plan and its symbol, what waits, and the notices."""
    window.open(f"{url}decisions?answer=allow")
    plan = window.run("return document.querySelector('td.plan a').href")
    symbol = window.run("return document.querySelector('td.symbol a').href")
    addresses = {"decisions": f"{url}decisions", "plan": plan, "symbol": symbol}
    for name, address in (addresses | {name: f"{url}{name}" for name in ("waiting", "notices")}).items():
        each_look(window, name, address)


def act(window: Browser) -> None:
    """The history of a day that is made up, and the page for acting, without and with a session."""
    with standing_desk() as url:
        each_look(window, "history", f"{url}/history")
        each_look(window, "session", f"{url}/act")
        window.run("document.querySelector('#name').value = 'ann'")
        window.run("document.querySelector('#token').value = arguments[0]", TOKEN)
        window.run("document.querySelector('main form').requestSubmit()")
        wait_until(window, "document.querySelector('#state-title') !== null")
        each_look(window, "act", f"{url}/act")


def each_look(window: Browser, name: str, address: str) -> None:
    """The upper part of a page in both schemes and on a phone."""
    for look, width, scheme in SCREENS:
        window.look_like(width=width, height=760, scheme=scheme)
        window.open(address)
        keep(window, f"{name}-{look}")


def page(
    window: Browser, url: str, name: str, *, width: int, height: int, scheme: Literal["light", "dark"]
) -> None:
    """The upper part of the page on such a screen."""
    window.look_like(width=width, height=height, scheme=scheme)
    window.open(url)
    wait_until(window, "document.querySelectorAll('.heat li').length > 500")
    keep(window, name)


def terminal(window: Browser, url: str) -> None:
    """Draw the output of `status --once` on a terminal, without the tree of actors behind it."""
    shown = subprocess.run(  # noqa: S603 - this program's own command
        [sys.executable, "-m", "commands", "status", "--once", "--url", url.rstrip("/")],
        cwd=ROOT,
        env={**os.environ, "FORCE_COLOR": "1", "COLUMNS": str(_COLUMNS), "TERM": "xterm-256color"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout
    upper = shown.partition("Supervision tree")[0].rstrip("\x1b[01;m\n")
    command = f"$ position-state-brain status --once | head -{upper.count(chr(10)) + 1}"
    draw(window, f"{command}\n{upper}\x1b[0m", "terminal")


def chain(window: Browser) -> None:
    """Draw the last frame of a demo's live view."""
    main_side, terminal_side = pty.openpty()
    fcntl.ioctl(terminal_side, termios.TIOCSWINSZ, struct.pack("HHHH", _FRAME_ROWS, _FRAME_COLUMNS, 0, 0))
    process = subprocess.Popen(  # noqa: S603 - this program's own command
        [sys.executable, "-m", "commands", "demo", "--seconds", str(_STAGE_SEC)],
        cwd=ROOT,
        env={**os.environ, "TERM": "xterm-256color"},
        stdin=subprocess.DEVNULL,
        stdout=terminal_side,
    )
    os.close(terminal_side)
    written = b""
    with suppress(OSError):  # The end of a terminal is EIO.
        while more := os.read(main_side, 65536):
            written += more
    os.close(main_side)
    if process.wait() not in (0, EXIT_INCONCLUSIVE):
        raise SystemExit(f"The demo ended: {written.decode()[-2000:]}")
    frames = _NEXT_FRAME.split(written.decode().replace("\r", ""))
    draw(window, next(frame for frame in reversed(frames) if "On stage" in frame).rstrip(), "chain")


def draw(window: Browser, shown: str, name: str) -> None:
    """Draw what a terminal shows, with its colours."""
    console = Console(record=True, width=_COLUMNS, file=StringIO(), color_system="truecolor")
    console.print(Text.from_ansi(shown))
    code = console.export_html(inline_styles=True, code_format="{code}", theme=SVG_EXPORT_THEME)
    window.look_like(width=1000, height=900, scheme="dark")
    window.open(f"data:text/html;base64,{b64encode(_TERMINAL.format(code=code).encode()).decode()}")
    width, height = window.run(
        "const box = document.querySelector('pre').getBoundingClientRect();"
        "return [Math.ceil(box.width), Math.ceil(box.height)]"
    )
    window.look_like(width=max(width, 700), height=height, scheme="dark")
    keep(window, name)


def wait_until(window: Browser, expression: str) -> None:
    """Wait for the page to be so; SystemExit after half a minute."""
    for _ in range(150):
        if window.run(f"return {expression}"):
            return
        time.sleep(0.2)
    raise SystemExit(f"Never came true: {expression}")


def keep(window: Browser, name: str) -> None:
    """Write what the window shows; SystemExit when it is too large for a repository."""
    path = (IMAGES if f"images/{name}.png" in documents() else OTHERS) / f"{name}.png"
    path.write_bytes(window.driver.get_screenshot_as_png())
    size = path.stat().st_size
    print(f"{path.relative_to(ROOT)}  {size // 1000} kB")
    if size > LARGEST_BYTES:
        raise SystemExit(f"{path.name} is larger than {LARGEST_BYTES // 1000} kB")


@cache
def documents() -> str:
    """Return the texts that may show pictures."""
    return "".join(path.read_text() for path in (ROOT / "README.md", *ROOT.glob("docs/**/*.md")))


def main() -> None:
    """Play, look, keep."""
    OTHERS.mkdir(parents=True, exist_ok=True)
    try:
        with browser() as window:
            act(window)
        with browser() as window:
            chain(window)
        with browser() as window, demo() as url:
            for _ in with_progress(range(_PLAYS_SEC), "The demo plays", _PLAYS_SEC, Console()):
                time.sleep(1)
            take(window, url)
    except BrowserMissingError as error:
        raise SystemExit(str(error)) from error


if __name__ == "__main__":
    main()
