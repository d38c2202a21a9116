"""`position-state-brain demo`: exchange, Redis, daemon and the services around it, all on this machine.

It touches nothing that the environment names, and leaves nothing behind.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import trio
from rich.console import Console

from brain.error_groups import each_error
from commands.clients.embedded_redis import RedisServerFailedError, RedisServerNotFoundError
from commands.demo.recording import RecordingFailedError, recording_file
from commands.demo.runner import DemoFailedError, run_demo

_INTERRUPTED = 130
_LOG_COLUMNS = 140


def main(seconds: float | None = None, export: Path | None = None) -> int:
    """Run for `seconds`, or until Ctrl-C without them; return the exit code.

    `export`: a new file for the decisions, as `replay --file` reads it.

    0: every plan was answered as expected, and the ledger equals the exchange. 1: not so, or the demo
    could not run. 130: ended by a second Ctrl-C, or by one before it had begun.
    """
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=_LOG_COLUMNS)
    try:
        with recording_file(export) as recording:
            agreed = trio.run(partial(run_demo, seconds, console, recording))
    except* (
        DemoFailedError,
        RecordingFailedError,
        RedisServerNotFoundError,
        RedisServerFailedError,
    ) as group:
        complaints = Console(stderr=True, highlight=False)
        for error in each_error(group):
            complaints.print(f"demo: {error}", markup=False, soft_wrap=True)
        code = 1
    else:
        code = _INTERRUPTED if agreed is None else 0 if agreed else 1
    return code
