"""Two accounts beside the service without one, under a booted systemd: none touches another."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import pytest

from tests.deploy.installed_service import (
    COMMAND,
    SECRETS,
    SETTINGS,
    UNIT,
    InstalledService,
    installed_service,
)
from tests.deploy.test_real_systemd import READY_AFTER_KILL_SEC

pytestmark = [pytest.mark.systemd, pytest.mark.timing]


class Account(NamedTuple):
    """An account that the installer has given its key prefix and port."""

    name: str
    port: int

    @property
    def unit(self) -> str:
        return f"quantum-position-state-brain@{self.name}.service"

    @property
    def folder(self) -> str:
        return f"etc/quantum/accounts/{self.name}"


DESKS = (Account("desk-7", 8046), Account("desk-8", 8047))


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InstalledService]:
    with installed_service(tmp_path_factory.mktemp("accounts")) as service:
        service.prepare()
        for desk in DESKS:
            service.install("--account", desk.name)
            settings = service.host.root / desk.folder / "position-state-brain.env"
            settings.write_text(
                f"{SETTINGS}P33_KEY_PREFIX={desk.name}\nP33_METRICS_PORT={desk.port}\n"
                "P33_WEIGHT_BUDGET_PER_MIN=800\n"
            )
            for name, value in SECRETS.items():
                service.install("--account", desk.name, "--set-secret", name, stdin=f"{value}\n")
        yield service


@pytest.fixture
def service(installed: InstalledService) -> InstalledService:
    """All three are ready."""
    installed.becomes(installed.is_ready, within_sec=20)
    for desk in DESKS:
        installed.becomes(partial(installed.is_ready, desk.port), 20, desk.unit)
    return installed


def pids(service: InstalledService) -> list[int]:
    return [service.main_pid(unit) for unit in (UNIT, *(desk.unit for desk in DESKS))]


def test_a_killed_account_is_ready_again_and_the_others_were_not_touched(service: InstalledService) -> None:
    alone, killed, other = pids(service)
    service.host.run("kill", "-KILL", str(killed))

    def is_back() -> bool:
        assert service.is_ready(DESKS[1].port)
        assert service.is_ready()
        return service.main_pid(DESKS[0].unit) not in {0, killed} and service.is_ready(DESKS[0].port)

    service.becomes(is_back, READY_AFTER_KILL_SEC, DESKS[0].unit)
    after = pids(service)
    assert (after[0], after[2]) == (alone, other)
    assert service.host.shows(DESKS[1].unit, "NRestarts") == {"NRestarts": "0"}


def test_each_has_keys_a_lease_and_a_port_of_its_own(service: InstalledService) -> None:
    decided = [service.get("/status", port)[1] for port in (8045, 8046, 8047)]
    assert [status["lease"]["held"] for status in decided] == [True, True, True]
    listed = service.install("--accounts").splitlines()
    assert [line.split()[1] for line in listed[1:4]] == ["quantum", "desk-7", "desk-8"]


def test_an_account_runs_as_a_user_of_its_own_and_sees_no_secret_of_another(
    service: InstalledService,
) -> None:
    first, second = (service.main_pid(desk.unit) for desk in DESKS)
    users = [service.host.run("stat", "--format=%u", f"/proc/{pid}").strip() for pid in (first, second)]
    assert len({*users, "0"}) == 3
    # As the first, in its own view of the file system.
    inside = ("nsenter", "--target", str(first), "--mount", "--setuid", users[0], "--setgid", users[0], "--")
    own, foreign = (f"/run/credentials/{desk.unit}/BINANCE_API_SECRET" for desk in DESKS)
    assert service.host.run(*inside, "cat", own).strip() == SECRETS["BINANCE_API_SECRET"]
    for path in (foreign, f"/{DESKS[1].folder}/credentials/BINANCE_API_SECRET", f"/proc/{second}/environ"):
        said = service.host.run(*inside, "cat", path, code=1)
        assert "Permission denied" in said or "No such file" in said


def test_an_account_with_the_keys_of_another_does_not_start_and_says_why(service: InstalledService) -> None:
    before = pids(service)
    path = service.host.root / DESKS[0].folder / "position-state-brain.env"
    own = path.read_text()
    path.write_text(own + "P33_KEY_PREFIX=desk-8\nREDIS_HOST=127.0.0.1\n")
    try:
        service.systemctl("restart", DESKS[0].unit, code=1)
        said = service.journal(DESKS[0].unit)
        assert "account desk-7 and account desk-8 share keys on localhost:6379 0" in said
        assert (pids(service)[0], pids(service)[2]) == (before[0], before[2])
    finally:
        path.write_text(own)
    service.systemctl("reset-failed", DESKS[0].unit, code=None)
    service.systemctl("restart", DESKS[0].unit)


def test_the_command_of_an_account_finds_its_deployment_well(service: InstalledService) -> None:
    service.host.run(f"{COMMAND}@desk-7", "check")
    said = service.host.run(f"{COMMAND}@desk-8", "status", "--once")
    assert "8047" in said


def test_a_new_release_starts_in_all_of_them(service: InstalledService) -> None:
    before = pids(service)
    (service.checkout / "clock.py").open("a").write("\n# another release\n")
    said = service.install("--account", "desk-8")
    for unit in (UNIT, *(desk.unit for desk in DESKS)):
        assert any(line.split() == ["started", unit] for line in said.splitlines()), said
    assert not set(before) & set(pids(service))
    # Nothing changed since.
    before = pids(service)
    service.install("--account", "desk-7")
    assert pids(service) == before


def test_one_that_is_taken_away_leaves_the_others_as_they_are(service: InstalledService) -> None:
    alone, _, other = pids(service)
    service.install("--account", "desk-7", "--uninstall", "--purge")
    assert service.host.run("systemctl", "list-units", "--all", "--no-legend", DESKS[0].unit) == ""
    assert not (service.host.root / DESKS[0].folder).exists()
    assert (service.main_pid(), service.main_pid(DESKS[1].unit)) == (alone, other)
