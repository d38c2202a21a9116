"""Values of the command line. Each function raises ArgumentTypeError for a text that is none."""

from __future__ import annotations

import argparse
import re

from brain.identifiers import is_symbol
from settings.error import quoted

_LONGEST_REASON = 200
_ENTRY_ID = re.compile(r"[0-9]{1,15}-[0-9]{1,15}", re.ASCII)


def reason(text: str) -> str:
    """Return the reason of a change, on one line."""
    if not text.strip() or not text.isprintable() or len(text) > _LONGEST_REASON:
        raise argparse.ArgumentTypeError(
            f"1 to {_LONGEST_REASON} printable characters on one line are expected, not {quoted(text)}"
        )
    return text.strip()


def symbol(text: str) -> str:
    """Return a symbol in capital letters."""
    name = text.upper()
    if not is_symbol(name):
        raise argparse.ArgumentTypeError(f"a symbol such as BTCUSDT is expected, not {quoted(text)}")
    return name


def entry_id(text: str) -> str:
    """Return the id of a stream's entry."""
    if not _ENTRY_ID.fullmatch(text):
        raise argparse.ArgumentTypeError(f"an id such as 1760000000000-0 is expected, not {quoted(text)}")
    return text


def count(text: str) -> int:
    """Return a whole number from 1 up."""
    if not text.isascii() or not text.isdigit() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"a whole number from 1 up is expected, not {text!r}")
    return int(text)


def seconds(text: str) -> float:
    """Return seconds above zero."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"seconds above zero are expected, not {text!r}")
    return number
