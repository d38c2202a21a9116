"""Table from each error of Redis or redis-py to a class of `store.errors`.

Checked against Redis 6.2 and 7.0, and redis-py 8 (`redis/_parsers/base.py`, which turns some codes into
classes and removes them from the text).
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
from store.redis.server_mode import WrongModeError

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
    # A primary that is cut off from its replicas: another server may be the primary by now.
    "NOREPLICAS": WrongServerError,
    "BUSY": StoreUnavailableError,
    "WRONGTYPE": WrongTypeError,
    "FENCED": FencedError,
    "NOGROUP": GroupLostError,
    "BUSYGROUP": GroupExistsError,
    "NOSCRIPT": UnknownScriptError,
}

_IN_SCRIPT_REFUSED = ("The user executing the script can't", "ACL failure in script")

#: Errors with the general code `ERR`, by their first words, which are Redis's own.
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

#: Errors without a code: redis-py's own classes; the first match counts.
_BY_CLASS: tuple[tuple[type[Exception], type[StoreError]], ...] = (
    (redis_errors.AuthenticationError, WrongRightsError),
    (redis_errors.AuthenticationWrongNumberOfArgsError, WrongRightsError),
    (redis_errors.AuthorizationError, WrongRightsError),
    (redis_errors.NoPermissionError, WrongRightsError),
    (redis_errors.BusyLoadingError, WrongServerError),
    (WrongModeError, WrongServerError),
    (redis_errors.ConnectionError, StoreUnavailableError),
    (redis_errors.TimeoutError, StoreUnavailableError),
    # The server does not speak Redis's protocol.
    (redis_errors.InvalidResponse, StoreUnavailableError),
)

# Redis 6.2 puts this before the error of a command in a script; 7.0 names the script behind the error.
_IN_SCRIPT = re.compile(
    r"Error running script \(call to f_[0-9a-f]+\): @user_script:\d+: (?:@user_script: \d+: )?-?"
)
_CODE = re.compile(r"[A-Z]+(?= |$)")
_COMMAND = re.compile(r"unknown command ['`]([^'`]{1,64})['`]|to run the '([^']{1,64})' command")
#: Longest text of Redis in a log line (characters).
_LONGEST = 120


def translate(error: redis_errors.RedisError, *, user: str = "", doing: str = "") -> StoreError:
    """Return the StoreError for `error`.

    For missing rights the text names `user` and `doing`, the command that was sent. Only the code and Redis's
    own first words are compared: the rest may quote a plan id, which may contain any text.
    """
    # Over a Unix socket redis-py wraps every error of the handshake.
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
    """Return the error's code; empty for `ERR`. redis-py removes known codes from the text."""
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
    """Prefix `text` with user and command; no version of Redis names both."""
    found = _COMMAND.search(text)
    command = next(filter(None, found.groups()), "") if found else ""
    # The command with its key is more precise than the name, unless a script or the handshake sent it.
    what = command.upper() if command and not doing.lower().startswith(command.lower()) else doing or "this"
    said = text.partition(", with args")[0][:_LONGEST]
    if "nknown" in text.partition(" command")[0]:
        return f"unknown to this Redis: {what}, needed by user {user}: {said}"
    if code == "NOPERM" or text.startswith(_IN_SCRIPT_REFUSED):
        return f"user {user} has no right to {what}: {said}"
    return f"the login of user {user} is refused: {said}"
