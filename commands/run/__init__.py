"""The daemon."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import nullcontext

import structlog
import trio

import settings
import supervisor
from brain.error_groups import first_error
from commands.run.collector import return_freed_memory, spare_the_collector
from commands.run.logging_setup import configure
from commands.run.queued_output import queue_standard_streams
from supervision import RestartIntensityExceeded
from supervision.systemd import NotifySocket

_EXIT_FAILURE = 1


def run(environ: Mapping[str, str]) -> int:
    """Run the service as `environ` says, until SIGTERM or SIGINT; 0 after a clean stop.

    Standard output and standard error stay behind their queues until the process ends.
    Raises SettingsError before anything runs. 1: restarting actors did not help; systemd restarts us.
    """
    streams = queue_standard_streams()
    loaded = settings.load(environ)
    loaded.settings.require_credentials()
    finish_log = configure(
        loaded.settings.log_level,
        loaded.settings.log_format,
        stream=streams.stdout,
        journal_stream=environ.get("JOURNAL_STREAM", ""),
    )
    log = structlog.get_logger()
    with NotifySocket.from_environ(environ, os.getpid()) or nullcontext() as notify_socket:
        return_freed_memory()
        spare_the_collector()
        try:
            trio.run(supervisor.serve, loaded, log, streams.dropped, notify_socket)
        except* RestartIntensityExceeded as group:
            log.critical("Giving up", reason=str(first_error(group)))
            return_code = _EXIT_FAILURE
        else:
            return_code = 0
        finally:
            finish_log()
    return return_code
