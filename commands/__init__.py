"""The command line: `position-state-brain COMMAND`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from commands.cli import parser
from settings import SettingsError

#: EX_CONFIG of sysexits.h: restarting will not help, and systemd is told not to.
EXIT_CONFIG = 78
#: As a shell reports a program that SIGPIPE ended.
EXIT_NOBODY_READS = 141
#: As it reports one that SIGINT ended.
EXIT_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; its exit code. Bad settings are one line on standard error and code 78."""
    options = parser().parse_args(arguments)
    try:
        code = int(options.command(options))
        sys.stdout.flush()
    except SettingsError as error:
        print(f"position-state-brain: {error}", file=sys.stderr)
        return EXIT_CONFIG
    except BrokenPipeError:
        # Whoever read has seen enough (`| head`); Python would complain once more when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_NOBODY_READS
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BaseExceptionGroup as group:
        # trio wraps what was raised in a nursery.
        if group.split(KeyboardInterrupt)[1] is not None:
            raise
        return EXIT_INTERRUPTED
    return code
