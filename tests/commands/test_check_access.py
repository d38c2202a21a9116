"""Who could write the ledger, by the access rules of each Redis that the suite knows."""

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


def tells(server: RedisServer) -> bool:
    """Whether this Redis can tell who may do what."""
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
        rules = OPERATOR if tells(server) else OPERATOR_OF_6_2
        client.execute_command("ACL", "SETUSER", "operator", "on", ">pw", *rules)
        if not default:
            client.execute_command("ACL", "SETUSER", "default", "off")


def test_where_all_are_one_user_everybody_may(server: RedisServer) -> None:
    expected = (Verdict.WARNING, "user default may write") if tells(server) else (Verdict.SKIPPED, "7.0")
    finding = looked(server)
    assert (finding.verdict, expected[1] in finding.told) == (expected[0], True)


def test_more_than_one_user_who_may_is_a_warning(server: RedisServer) -> None:
    users(server, default=True)
    finding = looked(server)
    expected = (
        (Verdict.WARNING, "the users brain, default may write") if tells(server) else (Verdict.SKIPPED, "7.0")
    )
    assert (finding.verdict, expected[1] in finding.told) == (expected[0], True)


def test_one_user_of_its_own_is_as_it_should_be(server: RedisServer) -> None:
    known = tells(server)
    users(server, default=False)
    finding = looked(server, "operator")
    expected = (Verdict.OK, "only brain may write ledgers") if known else (Verdict.SKIPPED, "7.0")
    assert (finding.verdict, expected[1] in finding.told) == (expected[0], True)
