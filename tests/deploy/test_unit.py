"""The unit as systemd's own tools judge it."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from commands import EXIT_CONFIG
from tests.deploy.guarded_redis import DEPLOY

UNIT = DEPLOY / "quantum-position-state-brain.service"
TEMPLATE = DEPLOY / "quantum-position-state-brain@.service"
UNITS = (UNIT, TEMPLATE)
MOST_EXPOSURE = 1.5
#: Where an account's unit differs from that of the service without accounts.
OF_AN_ACCOUNT = {
    "DynamicUser": ["yes"],
    "User": ["psb-%i"],
    "SupplementaryGroups": ["position-state-brain"],
    "EnvironmentFile": ["/etc/quantum/accounts/%i/position-state-brain.env"],
    "ExecStartPre": ["+/opt/position-state-brain/venv/deploy/accounts.sh %i"],
}


def settings_of(section: str, unit: Path = UNIT) -> dict[str, list[str]]:
    """The unit's assignments in a section; one may occur more than once."""
    found: dict[str, list[str]] = {}
    current = ""
    for line in unit.read_text().splitlines():
        if header := re.fullmatch(r"\[(\w+)\]", line):
            current = header[1]
        elif current == section and (assignment := re.fullmatch(r"(\w+)=(.*)", line)):
            found.setdefault(assignment[1], []).append(assignment[2])
    return found


@pytest.mark.system_tools
@pytest.mark.parametrize("unit", UNITS)
def test_systemd_understands_every_line(unit: Path, tmp_path: Path) -> None:
    venv = tmp_path / "opt/position-state-brain/venv"
    units = tmp_path / "usr/lib/systemd/system"
    for folder in (venv / "bin", venv / "deploy", units, tmp_path / "etc/systemd/system"):
        folder.mkdir(parents=True)
    for program in ("bin/position-state-brain", "deploy/accounts.sh"):
        shutil.copy("/bin/true", venv / program)
    for kind in ("target", "slice"):
        for unit in Path("/lib/systemd/system").glob(f"*.{kind}"):
            shutil.copy(unit, units)
    shutil.copy(unit, tmp_path / "etc/systemd/system")
    started = unit.name.replace("@", "@desk-7")
    assert analyzed("--man=no", f"--root={tmp_path}", "verify", started) == ""


@pytest.mark.system_tools
@pytest.mark.parametrize("unit", UNITS)
def test_it_is_hardly_exposed(unit: Path) -> None:
    report = analyzed("--no-pager", "--offline=true", "security", str(unit))
    exposure = re.search(r"Overall exposure level for \S+: ([0-9.]+)", report)
    assert exposure is not None, report
    assert float(exposure[1]) <= MOST_EXPOSURE


def analyzed(*arguments: str) -> str:
    done = subprocess.run(  # noqa: S603 - a tool of the system
        ["systemd-analyze", *arguments],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_an_account_differs_in_its_user_its_settings_and_the_look_at_its_neighbours() -> None:
    alone, of_account = settings_of("Service"), settings_of("Service", TEMPLATE)
    shared = {name: value for name, value in alone.items() if of_account.get(name) == value}
    assert alone.keys() - of_account.keys() == {"Group"}
    assert {name: value for name, value in of_account.items() if name not in shared} == OF_AN_ACCOUNT
    for section in ("Unit", "Install"):
        assert settings_of(section, TEMPLATE).keys() == settings_of(section).keys()


def test_it_says_when_it_is_ready_and_is_watched() -> None:
    service = settings_of("Service")
    assert service["Type"] == ["notify"]
    assert service["NotifyAccess"] == ["main"]
    assert service["WatchdogSec"] == ["20"]


def test_it_starts_again_whatever_ended_it_but_not_after_a_bad_setting() -> None:
    service, unit = settings_of("Service"), settings_of("Unit")
    assert service["Restart"] == ["always"]
    assert service["RestartPreventExitStatus"] == [str(EXIT_CONFIG)]
    assert int(unit["StartLimitBurst"][0]) > 1
    assert int(unit["StartLimitIntervalSec"][0]) > int(unit["StartLimitBurst"][0])


def test_it_may_reach_redis_the_exchange_and_names() -> None:
    service = settings_of("Service")
    assert set(service["RestrictAddressFamilies"][0].split()) == {"AF_INET", "AF_INET6", "AF_UNIX"}
    assert not service.keys() & {"IPAddressDeny", "PrivateNetwork", "InaccessiblePaths", "RootDirectory"}


def test_its_memory_is_bounded() -> None:
    service = settings_of("Service")
    high, most = (int(service[name][0].removesuffix("M")) for name in ("MemoryHigh", "MemoryMax"))
    assert 100 < high < most <= 1024
