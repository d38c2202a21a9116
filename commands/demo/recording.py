"""The demo's decisions in a file that `replay --file` reads."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from redis.exceptions import RedisError

from commands.clients.redis_reading import reading
from commands.replay.records import exported, from_stream


class RecordingFailedError(Exception):
    """The decisions could not be written; with the file and why."""


@contextmanager
def recording_file(path: Path | None) -> Iterator[BinaryIO | None]:
    """Open a new file for the decisions; remove it if none were written. Raises RecordingFailedError."""
    if path is None:
        yield None
        return
    try:
        file = path.open("xb")
    except OSError as error:
        raise RecordingFailedError(f"{path}: {error.strerror}") from error
    with file:
        try:
            yield file
        finally:
            if file.seek(0, os.SEEK_END) == 0:
                path.unlink(missing_ok=True)


def record_decisions(redis_url: str, file: BinaryIO) -> None:
    """Write all records of the audit stream. Blocks. Raises RecordingFailedError."""
    try:
        with reading({"REDIS_URL": redis_url}) as redis:
            for _ in exported(from_stream(redis, redis.keys.audit), file):
                pass
    except (RedisError, OSError) as error:
        raise RecordingFailedError(f"{file.name}: {error}") from error
