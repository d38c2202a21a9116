"""The meaning of every error that Redis or redis-py reports: one table, from the error to a class of ours.

Checked against the answers of Redis 6.2 and 7.0, and redis-py 8 (`redis/_parsers/base.py`, which turns some
codes into classes and cuts them off the text).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import redis.exceptions as redis_errors

from store.errors import (
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

#: By the error's code, which is its first word.
_BY_CODE: Mapping[str, type[StoreError]] = {
    "READONLY": WrongServerError,
    "MASTERDOWN": WrongServerError,
    "LOADING": WrongServerError,
    "CLUSTERDOWN": WrongServerError,
    "MOVED": WrongServerError,
    "ASK": WrongServerError,
    "CROSSSLOT": WrongServerError,
    "TRYAGAIN": WrongServerError,
    "NOPROTO": WrongServerError,
    # A primary that becomes a replica ends blocked reads with it, too; see `_meaning`.
    "UNBLOCKED": WrongServerError,
    "NOPERM": WrongRightsError,
    "NOAUTH": WrongRightsError,
    "WRONGPASS": WrongRightsError,
    "OOM": RedisFullError,
    "MISCONF": RedisFullError,
    "NOREPLICAS": RedisFullError,
    "BUSY": StoreUnavailableError,
    "WRONGTYPE": WrongTypeError,
    "FENCED": FencedError,
    "NOGROUP": GroupLostError,
    "BUSYGROUP": GroupExistsError,
    "NOSCRIPT": UnknownScriptError,
}

_IN_SCRIPT_REFUSED = ("The user executing the script can't", "ACL failure in script")

#: Of errors with the general code `ERR`: by the words at the beginning, which are Redis's own.
_BY_BEGINNING: tuple[tuple[str, type[StoreError]], ...] = (
    ("unknown command", WrongRightsError),
    ("unknown subcommand", WrongRightsError),
    ("Unknown subcommand", WrongRightsError),
    ("Unknown Redis command called from", WrongRightsError),
    *((beginning, WrongRightsError) for beginning in _IN_SCRIPT_REFUSED),
    ("Script attempted to access a non local key", WrongServerError),
    ("Lua script attempted to access a non local key", WrongServerError),
    ("SELECT is not allowed in cluster mode", WrongServerError),
    ("DB index is out of range", WrongServerError),
)

#: Of errors without a code: redis-py's own classes, the first that fits.
_BY_CLASS: tuple[tuple[type[Exception], type[StoreError]], ...] = (
    (redis_errors.AuthenticationError, WrongRightsError),
    (redis_errors.AuthenticationWrongNumberOfArgsError, WrongRightsError),
    (redis_errors.AuthorizationError, WrongRightsError),
    (redis_errors.NoPermissionError, WrongRightsError),
    (redis_errors.BusyLoadingError, WrongServerError),
    (redis_errors.ConnectionError, StoreUnavailableError),
    (redis_errors.TimeoutError, StoreUnavailableError),
    # Something answers there that does not speak Redis's protocol.
    (redis_errors.InvalidResponse, StoreUnavailableError),
)

# Redis 6.2 puts this before the error of a command in a script; 7.0 names the script behind the error.
_IN_SCRIPT = re.compile(
    r"Error running script \(call to f_[0-9a-f]+\): @user_script:\d+: (?:@user_script: \d+: )?-?"
)
_CODE = re.compile(r"[A-Z]+(?= |$)")
_COMMAND = re.compile(r"unknown command ['`]([^'`]{1,64})['`]|to run the '([^']{1,64})' command")
#: Of what Redis says, as much as fits a line beside the rest.
_LONGEST = 120


def translate(error: redis_errors.RedisError, *, user: str = "", doing: str = "") -> StoreError:
    """Return the error of ours that `error` means.

    `user` and `doing`, the command that was sent, are named where rights are missing. Only the code and
    Redis's own first words count: what follows may quote a plan id, which may read like anything.
    """
    # Over a Unix socket redis-py wraps whatever the handshake was answered.
    while error.args and isinstance(error.args[0], redis_errors.RedisError):
        error = error.args[0]
    text = str(error)
    wrapped = _IN_SCRIPT.match(text)
    if wrapped:
        text = text[wrapped.end() :]
    code = _code_of(error, text)
    meaning = _meaning(error, code, text)
    if code and not text.startswith(code):
        text = f"{code} {text}"
    if meaning is WrongRightsError:
        text = _named(code, text, user or "default", doing)
    return meaning(text)


def _code_of(error: redis_errors.RedisError, text: str) -> str:
    """The error's code; empty for `ERR`. redis-py cuts those that it knows off the text."""
    cut = getattr(error, "status_code", None)
    if isinstance(cut, str) and cut in _BY_CODE:
        return cut
    found = _CODE.match(text)
    return found[0] if found and found[0] in _BY_CODE else ""


def _meaning(error: redis_errors.RedisError, code: str, text: str) -> type[StoreError]:
    if code == "UNBLOCKED" and "no longer exists" in text:
        return GroupLostError
    if code:
        return _BY_CODE[code]
    for beginning, meaning in _BY_BEGINNING:
        if text.startswith(beginning):
            return meaning
    for redis_class, meaning in _BY_CLASS:
        if isinstance(error, redis_class):
            return meaning
    return StoreRefusedError


def _named(code: str, text: str, user: str, doing: str) -> str:
    """`text` behind the user and the command that it is about; Redis names neither in every version."""
    found = _COMMAND.search(text)
    command = next(filter(None, found.groups()), "") if found else ""
    # What was sent says more than its name, unless it was sent by a script or at connecting.
    what = command.upper() if command and not doing.lower().startswith(command.lower()) else doing or "this"
    said = text.partition(", with args")[0][:_LONGEST]
    if "nknown" in text.partition(" command")[0]:
        return f"unknown to this Redis: {what}, needed by user {user}: {said}"
    if code == "NOPERM" or text.startswith(_IN_SCRIPT_REFUSED):
        return f"user {user} has no right to {what}: {said}"
    return f"the login of user {user} is refused: {said}"
