"""The demo's decisions in a file that `replay --file` reads."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from commands.recorded_decisions import exported, from_stream
from commands.redis_reading import reading


@contextmanager
def recording_file(path: Path | None) -> Iterator[BinaryIO | None]:
    """A new file for the decisions; gone again if none were written. Raises OSError, FileExistsError too."""
    if path is None:
        yield None
        return
    with path.open("xb") as file:
        try:
            yield file
        finally:
            if file.tell() == 0:
                path.unlink(missing_ok=True)


def record_decisions(redis_url: str, file: BinaryIO) -> None:
    """Write all records of the audit stream. Blocks. Raises redis.exceptions.RedisError, OSError."""
    with reading({"REDIS_URL": redis_url}) as redis:
        deque(exported(from_stream(redis), file), maxlen=0)
