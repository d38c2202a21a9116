"""The one table of error meanings, on answers of Redis 6.2, 7.0 and 7.2 as redis-py 8 hands them over."""

from __future__ import annotations

from typing import Any

import pytest
import redis.exceptions as redis_errors
from redis._parsers.base import BaseParser

from store.errors import (
    RETRYABLE_ERRORS,
    FencedError,
    GroupExistsError,
    GroupLostError,
    RedisFullError,
    StoreError,
    StoreRefusedError,
    StoreUnavailableError,
    UnknownScriptError,
    WrongRightsError,
    WrongServerError,
    WrongTypeError,
)
from store.redis.errors import translate

_parse: Any = BaseParser.parse_error

#: How Redis 6.2 begins the error of a command in a script, and how 7.0 ends it.
IN_6 = "ERR Error running script (call to f_3c44c64e0fdd37d4efb28cc3d5a0ba0dd1d4c3c2): @user_script:9: "
IN_6_REFUSED = f"{IN_6}@user_script: 9: "
IN_7 = " script: 3c44c64e0fdd37d4efb28cc3d5a0ba0dd1d4c3c2, on @user_script:9."

ANSWERS: dict[type[StoreError], tuple[str, ...]] = {
    WrongServerError: (
        "NOREPLICAS Not enough good replicas to write.",
        f"{IN_6_REFUSED}-NOREPLICAS Not enough good replicas to write.",
        "READONLY You can't write against a read only replica.",
        f"{IN_6_REFUSED}-READONLY You can't write against a read only replica.",
        f"READONLY You can't write against a read only replica.{IN_7}",
        "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
        "LOADING Redis is loading the dataset in memory",
        "CLUSTERDOWN Hash slot not served",
        "MOVED 12182 127.0.0.1:7002",
        "ASK 12182 127.0.0.1:7002",
        "CROSSSLOT Keys in request don't hash to the same slot",
        "TRYAGAIN Multiple keys request during rehashing of slot",
        "NOPROTO unsupported protocol version",
        "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)",
        f"{IN_6_REFUSED}Lua script attempted to access a non local key in a cluster node",
        f"ERR Script attempted to access a non local key in a cluster node{IN_7}",
        "ERR SELECT is not allowed in cluster mode",
        "ERR DB index is out of range",
    ),
    WrongRightsError: (
        "NOPERM this user has no permissions to run the 'xadd' command or its subcommand",
        "NOPERM this user has no permissions to run the 'xgroup|create' command",
        "NOPERM User p33 has no permissions to run the 'xadd' command",
        "NOPERM this user has no permissions to access one of the keys used as arguments",
        "NOPERM this user has no permissions to access one of the channels used as arguments",
        "NOPERM No permissions to access a key",
        f"{IN_6_REFUSED}The user executing the script can't run this command or subcommand",
        f"ERR The user executing the script can't run this command or subcommand{IN_7}",
        f"ERR The user executing the script can't access at least one of the keys mentioned in the command "
        f"arguments{IN_7}",
        f"NOPERM ACL failure in script: User p33 has no permissions to run the 'xadd' command{IN_7}",
        f"ERR ACL failure in script: User p33 has no permissions to run the 'xadd' command{IN_7}",
        "NOAUTH Authentication required.",
        "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO AUTH <user>",
        "WRONGPASS invalid username-password pair or user is disabled.",
        "ERR invalid password",
        "ERR AUTH <password> called without any password configured for the default user. Are you sure your "
        "configuration is correct?",
        "ERR unknown command 'XADD', with args beginning with: 'quantum:stream:permit.audit' '*'",
        "ERR unknown command `XADD`, with args beginning with: `OOM `, `*`, ",
        "ERR unknown command 'OOM ', with args beginning with: ",
        "ERR unknown subcommand 'CREATE'. Try XGROUP HELP.",
        "ERR Unknown subcommand or wrong number of arguments for 'CREATE'. Try XGROUP HELP.",
        f"{IN_6_REFUSED}Unknown Redis command called from Lua script",
        f"ERR Unknown Redis command called from script{IN_7}",
    ),
    RedisFullError: (
        "OOM command not allowed when used memory > 'maxmemory'.",
        f"{IN_6_REFUSED}-OOM command not allowed when used memory > 'maxmemory'.",
        f"OOM command not allowed when used memory > 'maxmemory'.{IN_7}",
        "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.",
    ),
    StoreUnavailableError: (
        "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
        "ERR max number of clients reached",
    ),
    WrongTypeError: (
        "WRONGTYPE Operation against a key holding the wrong kind of value",
        f"{IN_6}WRONGTYPE Operation against a key holding the wrong kind of value",
        "WRONGTYPE q:p33:plan:FENCED x is a hash, not a string",
        "WRONGTYPE q:p33:plan:OOM  is a hash, not a string",
    ),
    FencedError: ("FENCED the lease is not 1:a",),
    GroupLostError: (
        "NOGROUP No such key 'OOM ' or consumer group 'p33' in XREADGROUP with GROUP option",
        f"{IN_6}NOGROUP No such key 'q' or consumer group 'p33'",
        "UNBLOCKED the stream key no longer exists",
    ),
    GroupExistsError: ("BUSYGROUP Consumer Group name already exists",),
    UnknownScriptError: ("NOSCRIPT No matching script. Please use EVAL.",),
    StoreRefusedError: (
        "ERR value is not an integer or out of range",
        f"{IN_6_REFUSED}Wrong number of args calling Redis command From Lua script",
        f"ERR Wrong number of args calling Redis command from script{IN_7}",
        "ERR no such key 'READONLY '",
        "SOMETHINGNEW that no table knows",
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("answer", "meaning"), [(answer, meaning) for meaning, answers in ANSWERS.items() for answer in answers]
)
def test_an_answer_of_redis_means_one_thing(answer: str, meaning: type[StoreError]) -> None:
    assert type(translate(_parse(answer))) is meaning


@pytest.mark.parametrize(
    ("error", "meaning"),
    [
        (redis_errors.ConnectionError("Connection closed by server."), StoreUnavailableError),
        (redis_errors.TimeoutError("Timeout connecting to server"), StoreUnavailableError),
        (redis_errors.InvalidResponse("Protocol error, got 'H' as reply type byte"), StoreUnavailableError),
        (redis_errors.BusyLoadingError("Redis is loading the dataset in memory"), WrongServerError),
        (redis_errors.AuthenticationError("Invalid Username or Password"), WrongRightsError),
        (redis_errors.DataError("Invalid input of type"), StoreRefusedError),
    ],
)  # fmt: skip
def test_an_error_of_the_client_itself_means_one_thing(
    error: redis_errors.RedisError, meaning: type[StoreError]
) -> None:
    assert type(translate(error)) is meaning


def test_all_that_an_actor_waits_out_is_redis_away_or_a_key_that_an_operator_repairs() -> None:
    waited_out = {meaning for meaning in ANSWERS if issubclass(meaning, RETRYABLE_ERRORS)}
    assert waited_out == {
        StoreUnavailableError, WrongServerError, WrongRightsError, RedisFullError, WrongTypeError,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("answer", "doing", "named"),
    [
        (
            "NOPERM this user has no permissions to run the 'xadd' command or its subcommand",
            "XADD quantum:events",
            "user p33 has no right to XADD quantum:events: NOPERM this user has no permissions",
        ),
        (
            "NOPERM No permissions to access a key",
            "GET quantum:lease",
            "user p33 has no right to GET quantum:lease: NOPERM No permissions",
        ),
        (
            f"NOPERM ACL failure in script: User p33 has no permissions to run the 'xadd' command{IN_7}",
            "a command of a script",
            "user p33 has no right to XADD: NOPERM ACL failure",
        ),
        (
            f"ERR The user executing the script can't run this command or subcommand{IN_7}",
            "a command of a script",
            "user p33 has no right to a command of a script: The user executing the script can't",
        ),
        (
            "NOPERM User p33 has no permissions to run the 'evalsha' command",
            "a command of a script",
            "user p33 has no right to EVALSHA: NOPERM",
        ),
        (
            "ERR unknown command 'XREADGROUP', with args beginning with: 'GROUP' 'p33'",
            "XREADGROUP GROUP",
            "unknown to this Redis: XREADGROUP GROUP, needed by user p33: unknown command 'XREADGROUP'",
        ),
        (
            "ERR unknown command `EVALSHA`, with args beginning with: `6447a454b11a5c2a41598418a47d2310`",
            "a command of a script",
            "unknown to this Redis: EVALSHA, needed by user p33: unknown command",
        ),
        (
            "WRONGPASS invalid username-password pair or user is disabled.",
            "HELLO, AUTH or SELECT",
            "the login of user p33 is refused: WRONGPASS invalid username-password pair",
        ),
        ("NOPERM No permissions to access a key", "", "user p33 has no right to this: NOPERM"),
        ("ERR invalid password", "", "the login of user p33 is refused: invalid password"),
        (
            f"{IN_6_REFUSED}Unknown Redis command called from Lua script",
            "a command of a script",
            "unknown to this Redis: a command of a script, needed by user p33: Unknown Redis command",
        ),
        ("NOAUTH Authentication required.", "TIME", "the login of user p33 is refused: NOAUTH"),
    ],
)
def test_missing_rights_name_the_user_and_the_command(answer: str, doing: str, named: str) -> None:
    shown = str(translate(_parse(answer), user="p33", doing=doing))
    assert shown.startswith(named)
    assert "\n" not in shown
    assert len(shown) < 250


def test_an_answer_to_the_handshake_that_the_client_wraps_means_the_same() -> None:
    answer = _parse("NOPERM this user has no permissions to run the 'select' command")
    shown = translate(redis_errors.ConnectionError(answer), user="p33", doing="HELLO, AUTH or SELECT")
    assert type(shown) is WrongRightsError
    assert str(shown).startswith("user p33 has no right to SELECT: NOPERM")


def test_the_code_that_the_client_cuts_off_is_in_the_message() -> None:
    error = _parse("READONLY You can't write against a read only replica.")
    assert str(translate(error)) == "READONLY You can't write against a read only replica."
