"""`status`: the state of a running daemon, live or once."""

from __future__ import annotations

import signal
import sys
import time
from collections import deque
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
from commands.status.view import Look, StatusView

_EVERY_SEC = 1.0
_RATE_OVER_SEC = 10.0
_5_MIN_SEC = 300.0


def status(environ: Mapping[str, str], *, url: str | None, form: Literal["live", "once", "json"]) -> int:
    """Show the state; return 1 when no daemon answers. Raises SettingsError.

    Live needs a terminal; elsewhere the state is printed once. A live view stays when the daemon stops
    answering, and shows that.
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


class DecisionRate:
    """Rate over the counts of the last 10 s."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def after(self, status: Status, now_sec: float) -> float | None:
        """Return the decisions a second of the last 10 s (`now_sec` is monotonic).

        The first read gives the rate of the last 5 min. None where the daemon's uptime is missing.
        """
        count = status.gates.decisions
        if self._seen and count < self._seen[-1][1]:
            self._seen.clear()  # another process by now
        self._seen.append((now_sec, count))
        while now_sec - self._seen[0][0] > _RATE_OVER_SEC:
            self._seen.popleft()
        begun_sec, begun = self._seen[0]
        if now_sec > begun_sec:
            return (count - begun) / (now_sec - begun_sec)
        if not status.uptime_sec:
            return None
        return status.gates.last_5_min.decisions / min(status.uptime_sec, _5_MIN_SEC)


async def _watch(daemon: DaemonHttp, first: Status, console: Console) -> None:
    """Show the live view until Ctrl-C or SIGTERM; restore the terminal afterwards.

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
