"""What an actor waits out while Redis cannot serve it, and how that is told to operators."""

from __future__ import annotations

from store.errors import WAITED_OUT

#: Nothing that an actor could do differently would help: Redis has to come back, or its keys to be mended.
REDIS_TROUBLE = WAITED_OUT

_LONGEST = 160


def told(redis: str, trouble: BaseException) -> str:
    """`redis` (`Redis at …`) and what it says, or what is said of it: of a group, the first that is in it."""
    while isinstance(trouble, BaseExceptionGroup):
        trouble = trouble.exceptions[0]
    return f"{redis}: {str(trouble)[:_LONGEST]}"
