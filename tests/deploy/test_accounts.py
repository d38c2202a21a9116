"""Several accounts on one host: installed, listed, kept apart, taken away; without a systemd."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy.test_installer import ROOT, Host, mode
from tests.deploy.test_installer import host as host
from tests.deploy.test_installer import wheels as wheels
from tests.deploy.test_unit import TEMPLATE

pytestmark = pytest.mark.system_tools

_CLASH = 78
_NO_ACCOUNT = "alone"


def settings_of(host: Host, account: str) -> Path:
    return host.root / f"etc/quantum/accounts/{account}/position-state-brain.env"


def drop_in_of(host: Host, account: str) -> Path:
    unit = TEMPLATE.name.replace("@", f"@{account}")
    return host.root / f"etc/systemd/system/{unit}.d/credentials.conf"


def leave(host: Host, **accounts: str) -> None:
    """Leave accounts as the installer does, with these settings; `alone`: the service without an account."""
    for account, text in accounts.items():
        alone = account == _NO_ACCOUNT
        installed = host.unit if alone else drop_in_of(host, account)
        settings = host.settings if alone else settings_of(host, account)
        for path in (installed, settings):
            path.parent.mkdir(parents=True, exist_ok=True)
        installed.touch()
        settings.write_text(text)


@pytest.fixture
def bare(tmp_path: Path) -> Host:
    """A root folder with nothing in it, and this checkout."""
    return Host(tmp_path, ROOT)


def looked_at(host: Host, *account: str) -> subprocess.CompletedProcess[str]:
    """Run what an account's unit runs before its start, or for all of them."""
    return subprocess.run(  # noqa: S603 - the script under test
        ["bash", str(ROOT / "deploy/accounts.sh"), "--root", str(host.root), *account],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.usefixtures("wheels")
def test_two_accounts_beside_the_service_without_one_share_nothing_but_the_release(host: Host) -> None:
    before = host.tree()
    host.install("--python", sys.executable)
    alone = host.tree()
    said = host.install("--account", "desk-7", "--python", sys.executable)
    assert "verified" in said
    assert "is installed" in said
    assert "--account desk-7 --set-secret BINANCE_API_KEY" in said
    assert "http://127.0.0.1:8046/readyz" in said
    # The one that was there is as it was.
    assert {path: alone[path] for path in alone} == {path: host.tree()[path] for path in alone}
    said = host.install("--account", "desk_8", "--python", sys.executable)
    assert said.splitlines()[-1].startswith("The shares add up to 3600 of request weight a minute, of 2400 ")

    for account, port in (("desk-7", 8046), ("desk_8", 8047)):
        lines = settings_of(host, account).read_text().splitlines()
        assert {f"P33_KEY_PREFIX={account}", f"P33_METRICS_PORT={port}"} <= set(lines)
        assert mode(settings_of(host, account)) == 0o600
        assert (host.command.parent / f"position-state-brain@{account}").readlink() == Path(host.command.name)
    listed = host.install("--accounts").splitlines()
    assert [line.split()[:2] for line in listed[1:4]] == [
        ["(none)", "quantum"],
        ["desk-7", "desk-7"],
        ["desk_8", "desk_8"],
    ]
    assert "lower P33_WEIGHT_BUDGET_PER_MIN" in listed[4]
    assert len(listed) == 5

    # A secret is one account's alone.
    host.install("--account", "desk-7", "--set-secret", "BINANCE_API_KEY", stdin="of-desk-7\n")
    secret = settings_of(host, "desk-7").parent / "credentials/BINANCE_API_KEY"
    assert (secret.read_text(), mode(secret)) == ("of-desk-7\n", 0o600)
    loaded = "LoadCredential=BINANCE_API_KEY:/etc/quantum/accounts/desk-7/credentials/BINANCE_API_KEY"
    assert loaded in drop_in_of(host, "desk-7").read_text()
    assert "BINANCE" not in drop_in_of(host, "desk_8").read_text() + host.drop_in.read_text()

    # A release is of all; so are its units.
    for name in (TEMPLATE.name, host.unit.name):
        (host.checkout / "deploy" / name).open("a").write("\n# another release\n")
    (host.checkout / "clock.py").open("a").write("\n# another release\n")
    host.install("--account", "desk-7", "--python", sys.executable)
    template = host.unit.with_name(TEMPLATE.name)
    assert ["# another release" in unit.read_text() for unit in (template, host.unit)] == [True, True]
    host.install("--rollback")
    assert ["# another release" in unit.read_text() for unit in (template, host.unit)] == [False, False]

    # Taken away one by one; what they share goes with the last.
    host.install("--account", "desk_8", "--uninstall", "--purge")
    assert not settings_of(host, "desk_8").parent.exists()
    host.install("--uninstall")
    assert (host.opt / "venv/bin/position-state-brain").exists()
    assert not host.unit.exists()
    assert "(none)" not in host.install("--accounts")
    kept = settings_of(host, "desk-7").read_text()
    host.install("--account", "desk-7", "--uninstall")
    left = {path for path in host.tree().keys() - before.keys() if (host.root / path).is_file()}
    assert left == {
        "etc/quantum/position-state-brain.env",
        "etc/quantum/accounts/desk-7/position-state-brain.env",
        "etc/quantum/accounts/desk-7/credentials/BINANCE_API_KEY",
    }
    assert settings_of(host, "desk-7").read_text() == kept


@pytest.mark.parametrize(
    ("one", "other", "shared"),
    [
        ("", "P33_METRICS_PORT=8046", "P33_KEY_PREFIX is quantum and quantum"),
        ("", "P33_METRICS_PORT=8046\nREDIS_URL=redis://u:p@127.0.0.1", "on localhost:6379 0"),
        ("REDIS_HOST=A", "P33_METRICS_PORT='1'\nREDIS_URL=redis://a:6379/0?ssl_ca_certs=/x", "on a:6379 0"),
        ("P33_KEY_PREFIX=a", "P33_METRICS_PORT=1\nP33_KEY_PREFIX=a:b", "P33_KEY_PREFIX is a and a:b"),
        (
            "REDIS_URL=redis+sentinel://u:p@a:1,b/quantum",
            "P33_METRICS_PORT=1\nREDIS_URL=rediss+sentinel://b/quantum/0",
            "on sentinel:quantum 0",
        ),
        (
            "REDIS_URL=unix:///run/r.sock",
            "P33_METRICS_PORT=1\nREDIS_URL=unix://u:p@/run/r.sock?db=0",
            "on /run/r.sock 0",
        ),
        ("P33_KEY_PREFIX=a", "", "P33_METRICS_PORT is 8045 for both"),
        (
            "P33_METRICS_PORT=9\nP33_METRICS_PORT=1\n",
            'P33_METRICS_PORT="1" \nREDIS_DB=1',
            "PORT is 1 for both",
        ),
    ],
)
def test_two_accounts_that_share_keys_or_a_port_are_named(
    bare: Host, one: str, other: str, shared: str
) -> None:
    leave(bare, alone=one, desk=other, third="P33_KEY_PREFIX=third\nP33_METRICS_PORT=3")
    for account in ([], ["desk"]):
        found = looked_at(bare, *account)
        assert found.returncode == _CLASH
        assert shared in found.stderr
        assert found.stderr.startswith("the service without an account and account desk ")
        assert len(found.stderr.splitlines()) == 1
    third = looked_at(bare, "third")
    assert (third.returncode, third.stdout, third.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("P33_KEY_PREFIX=a", "P33_KEY_PREFIX=ab"),
        ("REDIS_DB=1", ""),
        ("REDIS_HOST=a", "REDIS_HOST=b"),
        ("REDIS_URL=redis://a", "REDIS_URL=redis://a:6380"),
        ("REDIS_URL=redis://a/1", "REDIS_HOST=a"),
        ("REDIS_URL=unix:///a", "REDIS_URL=unix:///a?db=1"),
        ("REDIS_URL=redis+sentinel://a/one", "REDIS_URL=redis+sentinel://a/two"),
        ("P33_METRICS_PORT=0", "P33_METRICS_PORT=0\nP33_KEY_PREFIX=x"),
    ],
)
def test_accounts_with_keys_and_ports_of_their_own_may_start(bare: Host, one: str, other: str) -> None:
    leave(bare, a=one if "PORT" in one else f"{one}\nP33_METRICS_PORT=1", b=other)
    assert (looked_at(bare).returncode, looked_at(bare, "a").stderr) == (0, "")


def test_shares_that_an_address_does_not_have_are_said(bare: Host) -> None:
    own = "P33_KEY_PREFIX={0}\nP33_METRICS_PORT={0}\n"
    own += "P33_WEIGHT_BUDGET_PER_MIN={1}\nP33_CONNECTIONS_PER_5MIN={2}\n"
    leave(bare, a=own.format(1, 1200, 150), b=own.format(2, 1200, 150))
    assert "add up" not in looked_at(bare).stdout
    leave(bare, b=own.format(2, 1201, 151))
    assert [line for line in looked_at(bare).stdout.splitlines() if "add up" in line] == [
        "The shares add up to 2401 of request weight a minute, of 2400 that Binance allows an address: lower "
        "P33_WEIGHT_BUDGET_PER_MIN where these accounts have one address.",
        "The shares add up to 301 streams in 5 minutes, of 300 that Binance allows an address: lower "
        "P33_CONNECTIONS_PER_5MIN where these accounts have one address.",
    ]


def test_settings_of_an_account_that_is_not_installed_refuse_nobody(bare: Host) -> None:
    leave(bare, a="", b="")
    drop_in_of(bare, "b").unlink()
    assert looked_at(bare, "a").returncode == 0


@pytest.mark.usefixtures("wheels")
def test_an_account_with_the_keys_of_another_is_installed_and_not_started(host: Host) -> None:
    leave(host, alone="P33_KEY_PREFIX=desk")
    said = host.install("--account", "desk", "--python", sys.executable, code=_CLASH)
    assert said.splitlines()[-1].startswith(
        "install.sh: nothing was started: the service without an account and "
    )
    # With a prefix of its own it goes on from there.
    settings_of(host, "desk").write_text("P33_KEY_PREFIX=another\nP33_METRICS_PORT=8046\n")
    host.install("--account", "desk", "--python", sys.executable)


@pytest.mark.parametrize(
    ("arguments", "code", "named"),
    [
        (["--account"], 2, "needs a value"),
        (["--account", "-x"], 2, "-x cannot be an account's name"),
        (["--account", "a/b"], 2, "a/b cannot be an account's name"),
        (["--account", "a" * 25], 2, "cannot be an account's name"),
        (["--account", "desk", "--rollback"], 2, "--rollback without --account"),
        (["--account", "desk", "--set-secret", "BINANCE_API_KEY"], 1, "install it first"),
    ],
)
def test_an_impossible_account_gets_one_line_and_changes_nothing(
    bare: Host, arguments: list[str], code: int, named: str
) -> None:
    before = bare.tree()
    said = bare.install(*arguments, code=code)
    assert named in said
    assert len(said.splitlines()) == 1
    assert bare.tree() == before


def test_a_dry_run_for_an_account_does_nothing(bare: Host) -> None:
    leave(bare, alone="", other="P33_KEY_PREFIX=other\nP33_METRICS_PORT=8050\n")
    before = bare.tree()
    said = bare.install("--dry-run", "--account", "desk", "--python", sys.executable)
    assert "quantum-position-state-brain@.service" in said
    bare.install("--dry-run", "--account", "other", "--uninstall", "--purge")
    bare.install("--dry-run", "--uninstall")
    assert bare.tree() == before


def test_the_command_of_an_account_has_its_settings_and_asks_for_root_by_its_name(bare: Host) -> None:
    program = bare.opt / "venv/bin/position-state-brain"
    program.parent.mkdir(parents=True)
    program.write_text('#!/bin/sh\necho "$P33_KEY_PREFIX $BINANCE_API_KEY_FILE $*"\n')
    program.chmod(0o755)
    bare.command.parent.mkdir(parents=True)
    bare.command.write_text((ROOT / "deploy/position-state-brain").read_text())
    bare.command.chmod(0o755)
    command = bare.command.with_name("position-state-brain@desk")
    command.symlink_to(bare.command.name)
    leave(bare, desk="P33_KEY_PREFIX=desk\n", alone="P33_KEY_PREFIX=alone\n")
    secret = settings_of(bare, "desk").parent / "credentials/BINANCE_API_KEY"
    secret.parent.mkdir()
    secret.touch()

    def says(path: Path, *arguments: str, code: int = 0) -> str:
        done = subprocess.run([path, *arguments], capture_output=True, text=True, check=False)  # noqa: S603
        assert done.returncode == code
        return done.stdout + done.stderr

    assert says(command, "check") == f"desk {secret} check\n"
    assert says(bare.command, "check") == "alone  check\n"
    settings_of(bare, "desk").unlink()
    assert "run it as root (sudo position-state-brain@desk …)" in says(command, "check", code=77)
