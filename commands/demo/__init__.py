"""`position-state-brain demo`: exchange, Redis, daemon and the services around it, all on this machine.

It touches nothing that the environment names, and leaves nothing behind.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import trio
from rich.console import Console

from brain.error_groups import first_error
from commands import EXIT_CLOSED_PIPE, EXIT_INCONCLUSIVE, EXIT_INTERRUPTED
from commands.demo.failures import DemoFailedError, DemoInconclusiveError
from commands.demo.output import Output
from commands.demo.recording import RecordingFailedError, recording_file
from commands.demo.roles import ALL_ROLES, Role
from commands.demo.runner import run_demo
from commands.demo.summary import Conclusion

_FAILED = 1
_CODES = {
    Conclusion.OK: 0,
    Conclusion.FAILED: _FAILED,
    Conclusion.INCONCLUSIVE: EXIT_INCONCLUSIVE,
    None: EXIT_INTERRUPTED,
}
_LOG_COLUMNS = 140


def main(
    seconds: float | None = None, export: Path | None = None, roles: frozenset[Role] | None = None
) -> int:
    """Run for `seconds`, or until Ctrl-C without them; return the exit code.

    `export`: a new file for the decisions, as `replay --file` reads it. `roles`: those of the daemon, all if
    left out.

    0: every plan was answered as expected, and the ledger equals the exchange. 1: not so, or the demo
    could not run. 75: this machine was too busy for a verdict. 130: ended by a second Ctrl-C, or by one
    before it had begun. 141: the output was closed.
    """
    output, complaints = Output(sys.stdout), Output(sys.stderr)
    code, complaint = _run(seconds, export, ALL_ROLES if roles is None else roles, output)
    if complaint and not output.reader_is_gone:
        print(f"demo: {complaint}", file=complaints, flush=True)
    for stream in (output, complaints):
        stream.discard_rest()
    return code


def _run(
    seconds: float | None, export: Path | None, roles: frozenset[Role], output: Output
) -> tuple[int, str]:
    """Return the exit code, and the sentence for standard error or nothing."""
    console = Console(file=output, highlight=False)  # type: ignore[arg-type]  # IO[str] is no base of io's
    if not console.is_terminal:
        console.width = _LOG_COLUMNS
    try:
        with recording_file(export) as recording:
            conclusion = trio.run(partial(run_demo, seconds, roles, console, output, recording))
    except* DemoInconclusiveError as group:
        result = EXIT_INCONCLUSIVE, f"inconclusive: this machine was too busy: {first_error(group)}"
    except* (DemoFailedError, RecordingFailedError) as group:
        result = _FAILED, str(first_error(group))
    else:
        result = _CODES[conclusion], "interrupted" if conclusion is None else ""
    if output.reader_is_gone:
        return EXIT_CLOSED_PIPE, ""
    if output.error is not None:
        return _FAILED, f"standard output: {output.error.strerror}"
    return result
