"""`completion SHELL`: the script that teaches a shell this command line."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import shtab

from commands.command_line import parser


def completion(shell: str) -> int:
    """Print the script for `shell`, made from the parser itself."""
    print(completion_script(shell))
    return 0


def completion_script(shell: str) -> str:
    """The script; where an option takes a path, the shell offers files."""
    top = parser()
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
