"""`compare ROLE`: decisions of our shadow beside those of the service that plays the role."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

import msgspec
from redis.exceptions import RedisError

from commands.clients.redis_reading import RedisReading, reading
from commands.compare.bridge import compare_bridge
from commands.compare.executor import compare_executor
from commands.compare.governor import compare_governor
from commands.compare.options import CompareOptions
from commands.compare.reconcile import compare_reconcile
from commands.compare.universe import compare_universe
from commands.compare.view import comparison_view
from commands.compare.words import Words
from commands.console.terminal import show
from explanation.comparison import Comparison

__all__ = ["ROLES", "CompareOptions", "compare"]


class _Compared(NamedTuple):
    words: Words
    compare: Callable[[RedisReading, CompareOptions], Comparison]


_ROLES: Final[Mapping[str, _Compared]] = {
    "governor": _Compared(Words("judgements", "GRANT", "REFUSE"), compare_governor),
    "executor": _Compared(Words("plans", "SEND", "REFUSE"), compare_executor),
    "reconcile": _Compared(Words("holds", "HOLD", "LEAVE FREE"), compare_reconcile),
    "bridge": _Compared(Words("intents", "PLAN", "NONE"), compare_bridge),
    "universe": _Compared(Words("symbols", "LIST", "LEAVE OUT"), compare_universe),
}
ROLES: Final = tuple(_ROLES)


def compare(environ: Mapping[str, str], role: str, options: CompareOptions, *, as_json: bool) -> int:
    """Compare and print the report; exit code 1 for a difference, or where nothing can be compared.

    Raises SettingsError.
    """
    words, compare_role = _ROLES[role]
    with reading(environ) as redis:
        try:
            comparison = compare_role(redis, options)
        except RedisError as error:
            print(f"position-state-brain: Redis at {redis.address}: {error}", file=sys.stderr)
            return 1
        where = f"Redis at {redis.address}"
    if as_json:
        print(msgspec.json.encode(comparison).decode())
    else:
        show(comparison_view(comparison, words, where))
    return 0 if comparison.same else 1
