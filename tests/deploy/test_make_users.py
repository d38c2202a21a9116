"""deploy/redis/make-users.sh: users with passwords, of an account, with the rights of its roles."""

from __future__ import annotations

import hashlib
import re
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from tests.deploy.guarded_redis import DEPLOY

pytestmark = pytest.mark.system_tools


def test_as_shipped_no_user_can_log_in() -> None:
    users = (DEPLOY / "redis" / "users.acl").read_text()
    names = re.findall(r"^user (\S+) on #0{64} ", users, flags=re.M)
    assert names == ["p33", "p33-gate", "p33-operator"]
    assert len(users.splitlines()) == len(names)
    assert "nopass" not in users
    assert ">" not in users


def test_the_users_of_another_account_have_keys_of_their_own_and_passwords_that_stay(tmp_path: Path) -> None:
    make = [str(DEPLOY / "redis" / "make-users.sh"), str(tmp_path / "secrets"), "other"]
    subprocess.run(make, check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - the script under test
    first = (tmp_path / "secrets/users.acl").read_text()
    assert "quantum" not in first
    assert " ~other:p33:* " in first
    for user in ("p33", "p33-gate", "p33-operator"):
        path = tmp_path / f"secrets/{user}.password"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        password = path.read_text()
        assert re.fullmatch(r"[A-Za-z0-9]{30,}", password)
        assert f"user {user} on #{hashlib.sha256(password.encode()).hexdigest()} " in first
    subprocess.run(make, check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - the script under test
    assert (tmp_path / "secrets/users.acl").read_text() == first
    subprocess.run([*make, "universe"], check=True, stdout=subprocess.DEVNULL)  # noqa: S603
    with_role = (tmp_path / "secrets/users.acl").read_text()
    begin, rights = first.splitlines()[0], with_role.splitlines()[0]
    assert rights.startswith(f"{begin} (")
    assert rights.endswith(
        " ~other:cfg:universe:* ~other:universe:shadow:* ~other:stream:universe.events"
        " ~other:stream:universe.audit)"
    )
    assert with_role.splitlines()[1:] == first.splitlines()[1:]
    unknown = subprocess.run([*make, "nothing"], capture_output=True, text=True, check=False)  # noqa: S603
    assert (unknown.returncode, unknown.stdout) == (2, "")
    assert unknown.stderr.startswith("make-users.sh: no role nothing; there are: ")


def test_accounts_on_one_redis_have_users_of_their_own_names_and_keys(tmp_path: Path) -> None:
    make = str(DEPLOY / "redis" / "make-users.sh")
    for account, more in (("desk-7", []), ("desk_8", ["eight", "universe"])):
        command = [make, "--account", account, str(tmp_path / account), *more]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - the script under test
    first, second = ((tmp_path / account / "users.acl").read_text() for account in ("desk-7", "desk_8"))
    names = re.findall(r"^user (\S+) on #(?!0{64})", first + second, flags=re.M)
    assert names == [
        f"{user}-{account}"
        for account in ("desk-7", "desk_8")
        for user in ("p33", "p33-gate", "p33-operator")
    ]
    assert (tmp_path / "desk-7/p33-gate-desk-7.password").exists()
    for text, prefix in ((first, "desk-7"), (second, "eight")):
        keys = re.findall(r"~([^:\s]+):", text)
        assert set(keys) == {prefix}
    refused = subprocess.run(  # noqa: S603 - the script under test
        [make, "--account", "a b", str(tmp_path / "x")], capture_output=True, text=True, check=False
    )
    assert (refused.returncode, refused.stderr) == (2, "make-users.sh: a b cannot be an account's name\n")


def test_the_rights_of_a_role_may_name_subcommands(tmp_path: Path) -> None:
    redis = tmp_path / "redis"
    shutil.copytree(DEPLOY / "redis", redis)
    rights = r"(+xgroup|create +xinfo|stream ~quantum:a/b&c\d)"
    (redis / "roles/groups.acl").write_text(f"{rights}\n")
    make = [str(redis / "make-users.sh"), str(tmp_path / "secrets"), "other", "universe", "groups"]
    subprocess.run(make, check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - the script under test
    first, *others = (tmp_path / "secrets/users.acl").read_text().splitlines()
    assert first.endswith(" " + rights.replace("quantum", "other"))
    assert len(others) == 2
