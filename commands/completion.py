"""Completion scripts for shells."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path


def completion_script(top: argparse.ArgumentParser, shell: str) -> str:
    """Return the script, made from the parser itself; the shell offers files where an option takes a path."""
    import shtab

    for action in _actions(top):
        if action.type is Path:
            action.complete = shtab.FILE  # type: ignore[attr-defined]  # where shtab looks for it
    return shtab.complete(top, shell)


def _actions(command: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    for action in command._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for name in action.choices:
                yield from _actions(action.choices[name])
