"""`status`: how a running daemon is, live or once."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Mapping
from typing import Literal

import msgspec
import trio
from rich.console import Console
from rich.live import Live

from brain.json_text import read_json
from commands.clients.daemon import DaemonHttp, NoDaemonError, daemon_url
from commands.console.terminal import screen, show
from commands.status.document import STATUS, Status
from commands.status.rate import DecisionRate
from commands.status.view import Look, StatusView

_EVERY_SEC = 1.0


def status(environ: Mapping[str, str], *, url: str | None, form: Literal["live", "once", "json"]) -> int:
    """Show it; the exit code is 1 when no daemon answers. Raises SettingsError.

    Live needs a terminal; elsewhere it is told once. A live view stays when the daemon goes, and says so.
    """
    with DaemonHttp(daemon_url(environ, url)) as daemon:
        try:
            body = daemon.get("/status").content
            first = _read(body, daemon.url)
        except NoDaemonError as error:
            print(
                f"position-state-brain: {error}; is it running (systemctl status "
                "quantum-position-state-brain)? --url names another address",
                file=sys.stderr,
            )
            return 1
        console = screen()
        if form == "json":
            print(body.decode())
        elif form == "once" or not console.is_terminal or console.is_dumb_terminal:
            show(StatusView(Look(daemon.url, first, DecisionRate().after(first, time.monotonic()))))
        else:
            trio.run(_watch, daemon, first, console)
    return 0


async def _watch(daemon: DaemonHttp, first: Status, console: Console) -> None:
    """Until Ctrl-C or SIGTERM; the terminal is left as it was found.

    Signals are received, not raised: one in the middle of drawing would leave the other screen standing.
    """
    view = StatusView(Look(daemon.url, first, DecisionRate().after(first, trio.current_time())), live=True)
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals:
        async with trio.open_nursery() as nursery:
            with Live(view, console=console, screen=True, auto_refresh=False) as live:
                nursery.start_soon(_follow, daemon, first, live)
                await anext(aiter(signals))
                nursery.cancel_scope.cancel()


async def _follow(daemon: DaemonHttp, first: Status, live: Live) -> None:
    rate = DecisionRate()
    seen, seen_sec = first, trio.current_time()
    rate.after(first, seen_sec)
    while True:
        await trio.sleep(_EVERY_SEC)
        try:
            response = await trio.to_thread.run_sync(daemon.get, "/status", abandon_on_cancel=True)
            seen, seen_sec = _read(response.content, daemon.url), trio.current_time()
            look = Look(daemon.url, seen, rate.after(seen, seen_sec))
        except NoDaemonError as error:
            look = Look(daemon.url, seen, None, str(error), trio.current_time() - seen_sec)
        live.update(StatusView(look, live=True), refresh=True)


def _read(body: bytes, url: str) -> Status:
    try:
        return read_json(STATUS, body)
    except msgspec.DecodeError as error:
        raise NoDaemonError(f"what answers at {url} is not this service: {error}") from None
