"""The service under a booted systemd: installed, started, failing, upgraded, taken away."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.deploy.installed_service import (
    COMMAND,
    SECRETS,
    SETTINGS,
    UNIT,
    InstalledService,
    installed_service,
)

pytestmark = [pytest.mark.systemd, pytest.mark.timing]

READY_SEC = 2.0
STOP_SEC = 2.0
READY_AFTER_KILL_SEC = 4.0
READY_AFTER_STALL_SEC = 30.0
#: Accounts, the journal and pip's cache.
WRITTEN_BY_OTHERS = re.compile(
    r"/etc/(passwd|group|shadow|gshadow|subuid|subgid)-?$|/etc/\.pwd\.lock$|/var/log/|/root/\.cache/pip/"
)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InstalledService]:
    with installed_service(tmp_path_factory.mktemp("systemd")) as service:
        yield service


@pytest.fixture
def service(installed: InstalledService) -> InstalledService:
    """Installed, started and ready."""
    installed.prepare()
    return installed


def test_it_says_ready_within_two_seconds_and_stops_within_two(service: InstalledService) -> None:
    stopping_sec = service.systemctl("stop")
    ended = {"ActiveState": "inactive", "Result": "success"}
    assert service.host.shows(UNIT, *ended) == ended
    starting_sec = service.systemctl("start")
    print(f"READY after {starting_sec:.2f} s, stopped after {stopping_sec:.2f} s")
    assert starting_sec <= READY_SEC
    assert stopping_sec <= STOP_SEC
    service.becomes(service.is_ready, within_sec=READY_AFTER_KILL_SEC)


def test_killed_it_is_ready_again_within_four_seconds(service: InstalledService) -> None:
    killed = service.main_pid()
    service.host.run("kill", "-KILL", str(killed))
    took_sec = service.becomes(
        lambda: service.is_ready() and service.main_pid() != killed, READY_AFTER_KILL_SEC
    )
    print(f"ready {took_sec:.2f} s after kill -9")


def test_the_watchdog_aborts_a_process_that_stands_still(service: InstalledService) -> None:
    stalled = service.main_pid()
    service.host.run("kill", "-STOP", str(stalled))
    took_sec = service.becomes(
        lambda: service.main_pid() != stalled and service.is_ready(), READY_AFTER_STALL_SEC
    )
    print(f"ready {took_sec:.2f} s after SIGSTOP")
    assert re.search(r"Watchdog timeout .*limit 20s", service.journal())


def test_a_bad_setting_is_named_in_the_journal_and_not_tried_again(service: InstalledService) -> None:
    service.systemctl("stop")
    service.settings.write_text(f"{SETTINGS}P33_SHARDS=0\n")
    service.systemctl("start", code=1)
    ended = {"ActiveState": "failed", "SubState": "failed", "ExecMainStatus": "78", "NRestarts": "0"}
    assert service.host.shows(UNIT, *ended) == ended
    assert "P33_SHARDS" in service.journal().rpartition("Starting ")[2]


def test_without_redis_it_stands_and_is_ready_once_redis_is_there(service: InstalledService) -> None:
    service.systemctl("stop")
    service.systemctl("stop", "redis-server.service")
    service.systemctl("start")
    assert service.state() == "active"
    service.becomes(lambda: "waiting for Redis" in str(service.get("/readyz")), within_sec=5)
    assert service.get("/readyz")[0] == 503
    waiting = service.main_pid()
    service.systemctl("start", "redis-server.service")
    service.becomes(service.is_ready, within_sec=5)
    assert service.main_pid() == waiting


def test_secrets_reach_the_daemon_and_stand_in_no_environment_or_log(service: InstalledService) -> None:
    pid = service.main_pid()
    environ = service.host.run("cat", f"/proc/{pid}/environ")
    for name in SECRETS:
        assert f"{name}_FILE=/run/credentials/{UNIT}/{name}" in environ.split("\0")
    public = {
        "environment": environ,
        "command line": service.host.run("cat", f"/proc/{pid}/cmdline"),
        "journal": service.host.run("journalctl", "--no-pager", "--output=export"),
        "unit": service.host.run("systemctl", "show", UNIT) + service.host.run("systemctl", "cat", UNIT),
        "status": str(service.get("/status")),
    }
    found = [
        (name, place) for place, text in public.items() for name, value in SECRETS.items() if value in text
    ]
    assert found == []


def test_the_installed_command_finds_the_deployment_well(service: InstalledService) -> None:
    for arguments in (["check"], ["proof"], ["status", "--once"]):
        service.host.run(COMMAND, *arguments)


def test_an_upgrade_keeps_the_settings_and_a_rollback_returns(service: InstalledService) -> None:
    before, version = service.main_pid(), service.get("/status")[1]["version"]
    assert "left alone" in service.install()
    assert service.main_pid() == before

    project = service.checkout / "pyproject.toml"
    project.write_text(project.read_text().replace(f'version = "{version}"', 'version = "99.0"'))
    unit = service.checkout / f"deploy/{UNIT}"
    unit.write_text(unit.read_text().replace("WatchdogSec=20", "WatchdogSec=21"))
    service.install()
    assert service.main_pid() != before
    assert service.settings.read_text() == SETTINGS
    for expected, watchdog in (("99.0", "21s"), (version, "20s"), ("99.0", "21s")):
        service.becomes(service.is_ready, within_sec=READY_AFTER_KILL_SEC)
        assert service.get("/status")[1]["version"] == expected
        loaded = {"WatchdogUSec": watchdog, "NeedDaemonReload": "no"}
        assert service.host.shows(UNIT, *loaded) == loaded
        service.install("--rollback")
    assert service.settings.read_text() == SETTINGS


def test_uninstalling_a_failed_service_leaves_no_failed_unit(service: InstalledService) -> None:
    service.host.run("cp", "-a", "/opt/position-state-brain", "/opt/kept")
    service.settings.write_text(f"{SETTINGS}P33_SHARDS=0\n")
    service.systemctl("restart", code=1)
    service.install("--uninstall")
    assert service.host.run("systemctl", "list-units", "--all", "--no-legend", UNIT) == ""
    # Nothing has to be built again for the next test.
    service.host.run("mv", "/opt/kept", "/opt/position-state-brain")
    service.install("--no-enable")


def test_uninstalled_it_leaves_settings_and_secrets_and_purged_no_user(service: InstalledService) -> None:
    running = service.main_pid()
    service.install("--uninstall")
    assert service.host.run("systemctl", "list-units", "--all", "--no-legend", UNIT) == ""
    service.host.run("kill", "-0", str(running), code=1)
    kept = {
        f"/etc/quantum/{name}"
        for name in ("position-state-brain.env", *map("credentials/{}".format, SECRETS))
    }
    assert {path for path in service.left() if not WRITTEN_BY_OTHERS.match(path)} == kept
    assert service.settings.read_text() == SETTINGS

    service.install("--uninstall", "--purge")
    assert {path for path in service.left() if not WRITTEN_BY_OTHERS.match(path)} == set()
    service.host.run("getent", "passwd", "position-state-brain", code=2)
