"""Questions to a person at the terminal, before something is changed."""

from __future__ import annotations

import sys
from collections.abc import Callable

#: Shows a question and returns the line that was typed; "" at the end of the input.
Ask = Callable[[str], str]

_YES = ("y", "yes")


def ask_at_terminal() -> Ask | None:
    """Return a way to ask on standard error; None where standard input is no terminal."""
    return _ask if sys.stdin.isatty() else None


def is_yes(answer: str) -> bool:
    """Return True for an answer that agrees."""
    return answer.lower() in _YES


def _ask(question: str) -> str:
    print(question, end=" ", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip()
