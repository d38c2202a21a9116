"""Standard output and standard error behind a bounded queue, written by a thread.

A pipe that is not read (a hung log shipper or journal), a stopped terminal and a slow disk block write(2)
without limit. Here the caller appends to a queue and goes on. A queue that is full drops its oldest lines and
counts them; one line in their place says how many, as soon as the output takes text again.
Descriptors keep their blocking mode, since other processes may share them.
"""

from __future__ import annotations

import atexit
import os
import select
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from io import TextIOBase
from typing import Final, TextIO, cast

#: About 2,000 decisions' lines: 40 s of the log at 50 plans/s.
QUEUE_CHARACTERS: Final = 256 * 1024
_CHUNK_CHARACTERS: Final = 64 * 1024
#: At the end of the process, for both streams together.
_DRAIN_SEC: Final = 0.5
_NEWLINE: Final = ord("\n")


class QueuedOutput(TextIOBase):
    """Text output to a descriptor. No method but `drain` waits, and none raises for what a write meets."""

    def __init__(self, descriptor: int) -> None:
        """Start the thread. The descriptor stays the caller's to close."""
        self._descriptor = descriptor
        #: Makes the line, without its end, that stands for lines that were dropped.
        self.gap_line: Callable[[int], str] = _gap_line
        self._waiting: deque[str] = deque()
        self._characters = 0
        self._dropped = self._announced = 0
        self._is_writing = False
        self._is_torn = False
        # Reentrant: a finaliser that warns may run within any of the blocks below.
        self._changed = threading.Condition(threading.RLock())
        threading.Thread(target=self._write_all, name=f"output-{descriptor}", daemon=True).start()

    @property
    def dropped(self) -> int:
        """Lines dropped so far, because the queue was full or a write failed."""
        return self._dropped

    def write(self, text: str, /) -> int:
        """Queue `text`; return its length in characters."""
        with self._changed:
            self._waiting.append(text)
            self._characters += len(text)
            while self._characters > QUEUE_CHARACTERS:
                self._dropped += self._take_oldest().count("\n")
            self._changed.notify_all()
        return len(text)

    def flush(self) -> None:
        """Do nothing: the thread writes as soon as it can, and the caller must not wait for it."""

    def drain(self, within_sec: float) -> bool:
        """Wait until all that was queued is written or dropped; return False when that takes too long."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting and not self._is_writing, within_sec)

    def writable(self) -> bool:
        """Return True, as for any output."""
        return True

    def fileno(self) -> int:
        """Return the descriptor behind the queue."""
        return self._descriptor

    def isatty(self) -> bool:
        """Return whether a terminal is behind the queue."""
        return os.isatty(self._descriptor)

    def _take_oldest(self) -> str:
        oldest = self._waiting.popleft()
        self._characters -= len(oldest)
        return oldest

    def _write_all(self) -> None:
        while True:
            with self._changed:
                self._is_writing = False
                self._changed.notify_all()
                self._changed.wait_for(lambda: bool(self._waiting))
                self._is_writing = True
                gap = self._dropped - self._announced
                chunk = self._take_chunk()
            if gap and self._put(f"{self.gap_line(gap)}\n") == 0:
                self._announced += gap
            failed = self._put(chunk)
            with self._changed:
                self._dropped += failed

    def _take_chunk(self) -> str:
        chunk = [self._take_oldest()]
        length = len(chunk[0])
        while self._waiting and length + len(self._waiting[0]) <= _CHUNK_CHARACTERS:
            chunk.append(self._take_oldest())
            length += len(chunk[-1])
        return "".join(chunk)

    def _put(self, text: str) -> int:
        """Write `text`, for as long as that takes; return how many of its lines could not be written."""
        data = text.encode("utf-8", "backslashreplace")
        rest = memoryview(b"\n" + data if self._is_torn else data)
        while rest:
            try:
                written = os.write(self._descriptor, rest)
            except BlockingIOError:
                _wait_until_writable(self._descriptor)
                continue
            except OSError:
                # Its reader is gone (EPIPE), or the disk is full (ENOSPC).
                return min(bytes(rest).count(_NEWLINE), data.count(_NEWLINE))
            self._is_torn = rest[written - 1] != _NEWLINE
            rest = rest[written:]
        return 0


def _gap_line(lines: int) -> str:
    return f"({lines} lines dropped: they were not read in time)"


def _wait_until_writable(descriptor: int) -> None:
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    poll.poll()


class StandardStreams:
    """What takes the place of `sys.stdout` and `sys.stderr`."""

    def __init__(self, stdout: TextIO | QueuedOutput, stderr: TextIO | QueuedOutput) -> None:
        self.stdout = stdout
        self._queues = [each for each in (stdout, stderr) if isinstance(each, QueuedOutput)]

    def dropped(self) -> int:
        """Return how many lines of both were dropped so far."""
        return sum(queue.dropped for queue in self._queues)

    def drain(self) -> None:
        """Wait 0.5 s at most until both are written."""
        deadline_sec = time.monotonic() + _DRAIN_SEC
        for queue in self._queues:
            queue.drain(max(0.0, deadline_sec - time.monotonic()))


def queue_standard_streams() -> StandardStreams:
    """Put queues before standard output and error, for all that this process still writes there.

    That includes tracebacks, warnings and what finalisers report. Both are drained at the end of the process,
    after the traceback that ended it.
    """
    stdout, stderr = _queued(sys.stdout), _queued(sys.stderr)
    sys.stdout, sys.stderr = cast(TextIO, stdout), cast(TextIO, stderr)
    streams = StandardStreams(stdout, stderr)
    atexit.register(streams.drain)
    return streams


def _queued(stream: TextIO | None) -> TextIO | QueuedOutput:
    if stream is None:
        # The process was started with this descriptor closed.
        return QueuedOutput(os.open(os.devnull, os.O_WRONLY))
    try:
        return QueuedOutput(stream.fileno())
    except (OSError, ValueError):
        # No descriptor behind it: text in memory, which never blocks.
        return stream
