"""Reader of the command line; for a mistyped name one sentence, with the name that is near."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import NoReturn

from commands.calls import EXIT_USAGE
from commands.cli import parser
from settings.error import quoted
from settings.spelling import did_you_mean


def read_command_line(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the options; `command` of them is the function to call. A mistake ends the process with 2."""
    top = parser()
    words = list(sys.argv[1:] if arguments is None else arguments)
    [commands] = [each.choices for each in top._actions if isinstance(each, argparse._SubParsersAction)]
    for word in words:
        if not word.startswith("-"):
            if word not in commands:
                _refuse(top, "a command", word, did_you_mean(word, commands))
            break
        # A beginning of an option is enough.
        if not any(option.startswith(word) for option in _options(top)):
            _refuse_option(top, word)
    options, unknown = top.parse_known_args(words)
    if unknown:
        _refuse_option(commands[options.name], unknown[0])
    return options


def _options(command: argparse.ArgumentParser) -> list[str]:
    return [option for action in command._actions for option in action.option_strings]


def _refuse_option(command: argparse.ArgumentParser, word: str) -> NoReturn:
    if not word.startswith("-"):
        _refuse(command, "an argument", word, "")
    name = word.partition("=")[0]
    _refuse(command, "an option", name, did_you_mean(name, _options(command), begin="--"))


def _refuse(command: argparse.ArgumentParser, kind: str, name: str, hint: str) -> NoReturn:
    hint = hint or f"; {command.prog} --help lists what there is"
    command.exit(EXIT_USAGE, f"{command.prog}: {quoted(name)} is not {kind}{hint}\n")
