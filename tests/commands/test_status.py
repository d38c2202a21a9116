"""`status` beside a running service, and in a terminal of its own."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import signal
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from commands import main
from commands.status import status
from settings import SettingsError
from tests.commands.deployment import Capture, Deployment, run_command
from tests.integration.pipeline import entry

ROOT = Path(__file__).resolve().parents[2]
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
READY = json.dumps({"ready": True, "instance": "host:8045", "a_field_of_next_year": {"x": 1}}).encode()


class Canned:
    """Something that answers over HTTP, on loopback, what a test puts into it."""

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.code = 200
        canned = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(canned.code)
                self.send_header("Content-Length", str(len(canned.body)))
                self.end_headers()
                self.wfile.write(canned.body)

            def log_message(self, *_: object) -> None:
                """Nothing."""

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    @contextmanager
    def serving(self) -> Iterator[Canned]:
        thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield self
        finally:
            self.server.shutdown()
            thread.join()
            self.server.server_close()


@pytest.fixture
def daemon() -> Iterator[Canned]:
    """Answers as a daemon of another version would: ready, and little else."""
    with Canned(READY).serving() as canned:
        yield canned


async def test_a_running_service_is_printed_once_without_a_terminal(deployed: Deployment) -> None:
    async with deployed.service():
        await deployed.ask("one", entry("BTCUSDT", "0.01"))
        await deployed.ask("two", {**entry("BTCUSDT", "0.01"), "timestamp": "1"})
        assert await run_command(status, deployed.environ, url=None, form="live") == 0
    out = deployed.capsys.readouterr().out
    assert "\x1b" not in out
    text = " ".join(out.split())
    assert "READY first up " in text
    assert re.search(r"snapshots 16, oldest [\d.]+ s median [\d.]+ s, limit 10 s", text)
    assert "stream trusted, proven " in text
    assert re.search(r"decisions [\d.]+ a second since the start 1 allowed, 1 denied", text)
    assert re.search(r"weight \d+ of 1200 a minute", text)
    assert "lease held by first" in text
    assert "1 50% ████████████ plan_expired" in text
    assert "Supervision tree 0 restarts" in text
    for actor in ("permit_evaluator", "ledger_writer", "snapshot_fetcher_0", "lease_holder"):
        assert re.search(rf"{actor} (running|waiting)", text)


async def test_json_is_what_the_service_answers(deployed: Deployment) -> None:
    async with deployed.service() as service:
        assert await run_command(status, deployed.environ, url=service.url, form="json") == 0
    (line,) = [line for line in deployed.capsys.readouterr().out.splitlines() if line.startswith("{")]
    shown = json.loads(line)
    assert (shown["ready"], shown["instance"], shown["lease"]["held"]) == (True, "first", True)


async def test_a_restarted_actor_is_reported_with_its_reason(deployed: Deployment) -> None:
    async with deployed.service() as service:
        service.strike("gate_reporter")
        deadline_sec = time.monotonic() + 10
        text = ""
        while "1 restart:" not in text:
            assert time.monotonic() < deadline_sec, text
            await run_command(status, deployed.environ, url=None, form="once")
            text = " ".join(deployed.capsys.readouterr().out.split())
    assert re.search(r"gate_reporter .*, 1 restart: tests\.integration", text)


def test_without_a_daemon_it_says_so_in_a_line_and_exits_with_1(capsys: Capture) -> None:
    for form in ("live", "once", "json"):
        assert status({"P33_METRICS_PORT": "1"}, url=None, form=form) == 1
        captured = capsys.readouterr()
        assert captured.out == ""
        (line,) = captured.err.splitlines()
        assert line.startswith("position-state-brain: no daemon answers at http://127.0.0.1:1 (")
        assert "connection refused" in line
        assert "systemctl status quantum-position-state-brain" in line
        assert "--url" in line


@pytest.mark.parametrize(
    ("code", "body", "shown"),
    [
        (404, b"{}", "is not this service: status 404 for /status"),
        (200, b"<html>", "is not this service: JSON is malformed"),
        (200, b'{"ready": "very"}', "is not this service: Expected `bool`"),
    ],
)
def test_another_program_at_that_address_is_reported_as_such(
    daemon: Canned, capsys: Capture, code: int, body: bytes, shown: str
) -> None:
    daemon.code, daemon.body = code, body
    assert status({}, url=daemon.url, form="once") == 1
    assert shown in capsys.readouterr().err


def test_a_daemon_of_another_version_is_shown_as_far_as_it_is_understood(
    daemon: Canned, capsys: Capture
) -> None:
    assert status({}, url=daemon.url, form="once") == 0
    assert " READY  host:8045" in capsys.readouterr().out
    daemon.body = b"{}"
    assert status({}, url=daemon.url, form="once") == 0
    assert "NOT READY" in capsys.readouterr().out


def test_the_address_comes_from_the_settings_of_the_daemon(daemon: Canned, capsys: Capture) -> None:
    port = daemon.url.rpartition(":")[2]
    for bind in ("127.0.0.1", "0.0.0.0"):  # noqa: S104 - where a daemon listens
        assert status({"P33_BIND": bind, "P33_METRICS_PORT": port}, url=None, form="once") == 0
    assert status({}, url=f"127.0.0.1:{port}", form="once") == 0
    with pytest.raises(SettingsError, match="--url"):
        status({"P33_METRICS_PORT": "0"}, url=None, form="once")


def test_the_command_line_reaches_it(daemon: Canned, capsys: Capture) -> None:
    assert main(["status", "--url", daemon.url, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["instance"] == "host:8045"
    with pytest.raises(SystemExit):
        main(["status", "--once", "--json"])


class Terminal:
    """The live view in a pseudo-terminal."""

    def __init__(self, url: str, **environ: str) -> None:
        self._master, slave = pty.openpty()
        termios.tcsetwinsize(slave, (40, 100))
        self.before = termios.tcgetattr(slave)
        self._slave = slave
        self.output = ""
        self.process = subprocess.Popen(  # noqa: S603 - our own command
            [sys.executable, "-m", "commands", "status", "--url", url],
            cwd=ROOT,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={"PATH": os.environ["PATH"], "TERM": "xterm-256color", "LC_ALL": "C.UTF-8", **environ},
            start_new_session=True,
        )
        os.set_blocking(self._master, False)

    def read_until(self, words: str, within_sec: float = 30.0) -> None:
        """Among what a person sees, or as it is sent for what begins with an escape."""
        deadline_sec = time.monotonic() + within_sec
        while words not in (self.output if words[0] == "\x1b" else ESCAPES.sub("", self.output)):
            assert time.monotonic() < deadline_sec, self.output[-2000:]
            self._read()

    def end(self, number: signal.Signals) -> int:
        """Its exit code, everything it had to say being read."""
        self.process.send_signal(number)
        code = self.process.wait(timeout=30)
        # What the kernel still has in hand comes before this.
        os.write(self._slave, b"\x1b[0;0;0;7m")
        self.read_until("\x1b[0;0;0;7m")
        self.output = self.output.removesuffix("\x1b[0;0;0;7m")
        return code

    @property
    def after(self) -> list[object]:
        return termios.tcgetattr(self._slave)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self._master)
        os.close(self._slave)

    def _read(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while chunk := os.read(self._master, 65_536):
                self.output += chunk.decode(errors="replace")


@pytest.fixture
def terminal(daemon: Canned) -> Iterator[Terminal]:
    opened = Terminal(daemon.url)
    try:
        yield opened
    finally:
        opened.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_terminal_is_left_as_it_was(terminal: Terminal, number: signal.Signals) -> None:
    terminal.read_until("Ctrl-C ends")
    assert "\x1b[?1049h" in terminal.output
    assert terminal.end(number) == 0
    # The other screen is left, the cursor is back, and nothing is printed after that.
    assert terminal.output.endswith(("\x1b[?1049l\x1b[?25h", "\x1b[?25h\x1b[?1049l"))
    assert terminal.after == terminal.before
    assert "Traceback" not in terminal.output


def test_a_daemon_that_goes_and_comes_back_is_followed(daemon: Canned, terminal: Terminal) -> None:
    terminal.read_until(" READY ")
    daemon.code = 500
    terminal.read_until("NO ANSWER")
    terminal.read_until("status 500")
    terminal.output = ""
    daemon.code, daemon.body = 200, READY.replace(b"host:8045", b"again:8045")
    terminal.read_until("again:8045")
    assert terminal.end(signal.SIGINT) == 0


@pytest.mark.process
def test_no_color_is_respected(daemon: Canned) -> None:
    plain, coloured = Terminal(daemon.url, NO_COLOR="1"), Terminal(daemon.url)
    try:
        for each in (plain, coloured):
            each.read_until("Ctrl-C ends")
        green = "\x1b[1;37;42m"
        assert green in coloured.output
        assert not re.search(r"\x1b\[[0-9;]*(3[0-7]|4[0-7])m", plain.output)
    finally:
        plain.close()
        coloured.close()
