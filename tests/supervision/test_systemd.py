from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

import pytest

from supervision.systemd import NotifySocket
from tests.supervision.notify_rig import Listener, listening

US = 4711


def test_reports_arrive_in_the_words_of_sd_notify(tmp_path: Path) -> None:
    with listening(tmp_path) as systemd, NotifySocket(systemd.address, None) as notify:
        assert notify.ready("not ready: waiting for Redis")
        notify.status("ready")
        notify.alive()
        notify.stopping("stopping", 6.0)
        assert systemd.heard() == [
            ["READY=1", "STATUS=not ready: waiting for Redis"],
            ["STATUS=ready"],
            ["WATCHDOG=1"],
            ["STOPPING=1", "STATUS=stopping", "EXTEND_TIMEOUT_USEC=6000000"],
        ]


def test_an_abstract_socket_is_reached_as_well() -> None:
    with closing(Listener(f"@p33-test-{os.getpid()}")) as systemd:
        notify = NotifySocket.from_environ({"NOTIFY_SOCKET": systemd.address}, US)
        assert notify is not None
        with notify:
            notify.alive()
        assert systemd.heard() == [["WATCHDOG=1"]]


@pytest.mark.parametrize("address", [None, "", "@", "vsock:2:1234", "relative/path"])
def test_nothing_is_reported_while_systemd_does_not_listen(address: str | None) -> None:
    environ = {} if address is None else {"NOTIFY_SOCKET": address}
    assert NotifySocket.from_environ(environ, US) is None


@pytest.mark.parametrize(
    ("environ", "watchdog_sec"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "20000000"}, 20.0),
        ({"WATCHDOG_USEC": "20000000", "WATCHDOG_PID": str(US)}, 20.0),
        ({"WATCHDOG_USEC": "20000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "-5"}, None),
    ],
)
def test_the_watchdogs_limit_is_taken_from_the_environment_if_it_is_meant_for_us(
    environ: dict[str, str], watchdog_sec: float | None
) -> None:
    notify = NotifySocket.from_environ({"NOTIFY_SOCKET": "@p33-test", **environ}, US)
    assert notify is not None
    with notify:
        assert notify.watchdog_sec == watchdog_sec


def test_a_status_breaks_out_of_nothing_and_is_one_line_of_bounded_length(tmp_path: Path) -> None:
    with listening(tmp_path) as systemd, NotifySocket(systemd.address, None) as notify:
        notify.status("waiting for Redis\nREADY=1\r\0 \x1b[31m")
        notify.status("x" * 10_000)
        (hostile,), (long,) = systemd.heard()
        assert hostile == "STATUS=waiting for Redis READY=1    [31m"
        assert len(long) < 400 and long.endswith("…")


def test_a_systemd_that_does_not_listen_or_read_is_no_error(tmp_path: Path) -> None:
    with NotifySocket(str(tmp_path / "nowhere"), None) as notify:
        assert not notify.ready("ready")
    with listening(tmp_path) as systemd, NotifySocket(systemd.address, None) as notify:
        for number in range(10_000):
            notify.status(f"{number}")
        assert not notify.ready("ready")
        assert 0 < len(systemd.heard()) < 10_000
        assert notify.ready("ready")
