"""deploy/position-state-brain, the installed command, for a user who may not read the settings."""

from __future__ import annotations

import subprocess
import sys

import pytest

from monitoring.service_log import version
from tests.commands.test_status import READY, Canned
from tests.deploy.test_installer import ROOT, Host
from tests.deploy.test_installer import host as host

pytestmark = pytest.mark.system_tools


def asked(host: Host, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Ask the installed command, where the settings cannot be read."""
    program = host.opt / "venv/bin/position-state-brain"
    for path, text in (
        (host.command, (host.checkout / "deploy/position-state-brain").read_text()),
        (program, f'#!/bin/sh\ncd {ROOT} && exec {sys.executable} -m commands "$@"\n'),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)
    return subprocess.run(  # noqa: S603 - the script under test
        [str(host.command), *arguments], capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    "command", ["run", "check", "proof", "explain x", "replay", "trading-state", "hold X", "release X"]
)
def test_the_command_asks_for_root_where_it_may_not_read_the_settings(host: Host, command: str) -> None:
    done = asked(host, *command.split())
    assert done.returncode == 77
    assert "sudo position-state-brain" in done.stderr


def test_status_needs_no_settings(host: Host) -> None:
    with Canned(READY).serving() as canned:
        there = asked(host, "status", "--once", "--url", canned.url)
    assert (there.returncode, there.stderr) == (0, "")
    assert "READY  host:8045" in there.stdout
    gone = asked(host, "status", "--url", canned.url)
    assert gone.returncode == 1
    assert gone.stderr.startswith(f"position-state-brain: no daemon answers at {canned.url} (")
    # Without an address the default one is asked, whatever answers there.
    usual = asked(host, "status", "--once")
    assert "http://127.0.0.1:8045" in usual.stdout + usual.stderr
    assert "--url names another address" in usual.stderr or usual.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--version"], 0, f"position-state-brain {version()}"),
        (["statsu"], 2, "did you mean status?"),
        (["proof", "-h"], 0, "eight points"),
        ([], 2, "COMMAND"),
    ],
)
def test_commands_that_need_no_settings_answer_without_them(
    host: Host, arguments: list[str], code: int, said: str
) -> None:
    done = asked(host, *arguments)
    assert done.returncode == code
    assert said in done.stdout + done.stderr
