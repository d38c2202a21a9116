"""A redis-server of the system's with users of their own, as an operator sets it up."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redis

from tests.deploy.retrying import patiently

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
PASSWORD = "correct horse"
ADMIN = "test-admin"


class GuardedRedis:
    """`address` is `host:port` or the path of a socket, as it stands in a URL."""

    def __init__(self, folder: Path) -> None:
        self.socket = folder / "redis.sock"
        self.acl = folder / "users" / "users.acl"

    def url(self, user: str) -> str:
        """The URL of one of the users of the ACL file."""
        return f"unix://{user}:{PASSWORD.replace(' ', '%20')}@{self.socket}?db=0"

    def admin(self) -> Any:
        """A client that may do everything, for the world around the service."""
        return redis.Redis(
            unix_socket_path=str(self.socket), username=ADMIN, password=PASSWORD, decode_responses=True
        )

    def reload(self, rules: str) -> None:
        """Write the ACL file anew and load it, as an operator does."""
        self.acl.write_text(rules)
        self.admin().acl_load()

    def client(self, user: str) -> Any:
        """A client of one of the users of the ACL file."""
        return redis.Redis(
            unix_socket_path=str(self.socket), username=user, password=PASSWORD, decode_responses=True
        )


@contextmanager
def guarded_redis(
    program: Path, folder: Path, *options: str, roles: Sequence[str] = ()
) -> Iterator[GuardedRedis]:
    """Running with the users that `deploy/redis/make-users.sh` makes for `roles`, each with `PASSWORD`."""
    made = folder / "users"
    made.mkdir()
    for user in ("p33", "p33-gate", "p33-operator"):
        (made / f"{user}.password").write_text(PASSWORD + "\n")
    make = [str(DEPLOY / "redis" / "make-users.sh"), str(made), "quantum", *roles]
    subprocess.run(make, check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - the script under test
    acl = made / "users.acl"
    digest = hashlib.sha256(PASSWORD.encode()).hexdigest()
    acl.write_text(f"{acl.read_text()}user {ADMIN} on #{digest} ~* &* +@all\nuser default off\n")
    server = GuardedRedis(folder)
    process = subprocess.Popen(  # noqa: S603 - the system's own redis-server
        [
            str(program),
            *("--port", "0", "--unixsocket", str(server.socket), "--dir", str(folder)),
            *("--aclfile", str(acl), "--save", "", "--appendonly", "yes", "--logfile", "redis.log"),
            *options,
        ],
        stdin=subprocess.DEVNULL,
    )
    try:
        patiently(lambda: server.admin().ping(), redis.ConnectionError)
        yield server
    finally:
        process.kill()
        process.wait()
