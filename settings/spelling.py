"""Suggestion for a mistyped name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Final

#: difflib's ratio: one wrong, missing, doubled or swapped letter among four gives 0.75 or more. `start` gives
#: 0.73 for `status`, and means something else.
_NEAR: Final = 0.75
_LONGEST: Final = 64


def did_you_mean(word: str, known: Iterable[str], *, begin: str = "") -> str:
    """Return "; did you mean …?" with the name that is near; empty where none is.

    Of the names only those with that `begin` count, and it is not compared: what all names share would make
    any of them near.
    """
    rests = {name.removeprefix(begin).lower(): name for name in known if name.startswith(begin)}
    near = difflib.get_close_matches(word[:_LONGEST].removeprefix(begin).lower(), rests, 1, _NEAR)
    return f"; did you mean {rests[near[0]]}?" if near else ""
