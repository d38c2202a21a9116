"""The command line `position-state-brain COMMAND`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

#: EX_TEMPFAIL of sysexits.h: `demo` had no verdict, and may have one at another time.
EXIT_INCONCLUSIVE = 75
#: EX_CONFIG of sysexits.h: the systemd unit does not restart the daemon after this code.
EXIT_CONFIG = 78
#: As a shell reports a program that SIGPIPE ended.
EXIT_CLOSED_PIPE = 141
#: As it reports one that SIGINT ended.
EXIT_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code. Bad settings are one line on standard error and code 78."""
    try:
        return _run(arguments)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED


def _run(arguments: Sequence[str] | None) -> int:
    # Imported here: that takes long enough to be interrupted.
    from commands.command_line import read_command_line
    from settings import SettingsError

    options = read_command_line(arguments)
    try:
        code = int(options.command(options))
        sys.stdout.flush()
    except SettingsError as error:
        print(f"position-state-brain: {error}", file=sys.stderr)
        return EXIT_CONFIG
    except BrokenPipeError:
        # The reader closed the pipe (`| head`); Python would report it again when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_CLOSED_PIPE
    except BaseExceptionGroup as group:
        # trio wraps what was raised in a nursery.
        if group.split(KeyboardInterrupt)[1] is not None:
            raise
        return EXIT_INTERRUPTED
    return code
