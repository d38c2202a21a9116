"""Users that may write the ledger, by the access rules of each tested Redis."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from commands.check.findings import Finding, Verdict
from commands.check.permit_writers import access_finding
from commands.clients.redis_reading import reading
from tests.store.redis_servers import RedisServer, known_servers, running

OPERATOR = ("+@read", "+acl|users", "+acl|getuser", "+acl|dryrun", "+client|list", "+ping", "%R~*")
OPERATOR_OF_6_2 = ("+@read", "+acl", "+client", "+ping", "~*")


@pytest.fixture(params=list(known_servers().values()), ids=list(known_servers()))
def server(request: pytest.FixtureRequest) -> Iterator[RedisServer]:
    program: Path = request.param
    with running(program) as started:
        yield started


def shows_rights(server: RedisServer) -> bool:
    """Return whether this Redis shows the rights of a user."""
    with server.client() as client:
        info: Any = client.info("server")
    return int(info["redis_version"].split(".")[0]) >= 7


def looked(server: RedisServer, user: str = "") -> Finding:
    url = server.url.replace("unix://", f"unix://{user}:pw@") if user else server.url
    with reading({"REDIS_URL": url}) as redis:
        return access_finding(redis)


def users(server: RedisServer, *, default: bool) -> None:
    with server.client() as client:
        client.execute_command("ACL", "SETUSER", "brain", "on", ">pw", "~*", "+@all")
        client.execute_command("ACL", "SETUSER", "gone", "off", ">pw", "~*", "+@all")
        rules = OPERATOR if shows_rights(server) else OPERATOR_OF_6_2
        client.execute_command("ACL", "SETUSER", "operator", "on", ">pw", *rules)
        if not default:
            client.execute_command("ACL", "SETUSER", "default", "off")


@pytest.mark.parametrize(
    ("default", "asked_by", "verdict", "words"),
    [
        (None, "", Verdict.WARNING, "user default may write"),
        (True, "", Verdict.WARNING, "the users brain, default may write"),
        (False, "operator", Verdict.OK, "only brain may write ledgers"),
    ],
    ids=["all are one user", "more than one may write", "one user of its own"],
)
def test_the_users_that_may_write_ledgers_are_named(
    server: RedisServer, default: bool | None, asked_by: str, verdict: Verdict, words: str
) -> None:
    known = shows_rights(server)
    if default is not None:
        users(server, default=default)
    finding = looked(server, asked_by)
    expected = (verdict, words) if known else (Verdict.SKIPPED, "7.0")
    assert (finding.verdict, expected[1] in finding.detail) == (expected[0], True)
