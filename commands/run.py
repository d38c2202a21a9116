"""The daemon."""

from __future__ import annotations

from collections.abc import Mapping

import structlog
import trio

import settings
import supervisor
from commands.logs import configure
from supervision import RestartIntensityExceeded

_EXIT_FAILURE = 1


def run(environ: Mapping[str, str]) -> int:
    """Run the service as `environ` says, until SIGTERM or SIGINT.

    Raises SettingsError before anything runs. 1: restarting actors did not help; systemd restarts us.
    """
    loaded = settings.load(environ)
    loaded.settings.require_credentials()
    configure(loaded.settings.log_level, loaded.settings.log_format)
    log = structlog.get_logger()
    try:
        trio.run(supervisor.serve, loaded, log)
    except* RestartIntensityExceeded as group:
        log.critical("Giving up", reason=str(_leaf(group)))
        return_code = _EXIT_FAILURE
    else:
        return_code = 0
    return return_code


def _leaf(group: BaseExceptionGroup[RestartIntensityExceeded]) -> BaseException:
    """The first error in a group of groups that is none itself."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
