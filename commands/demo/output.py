"""Standard output that may vanish while the demo runs: a closed pipe, a closed terminal, a full disk."""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Callable
from typing import TextIO

_READER_IS_GONE = (errno.EPIPE, errno.EIO)


class Output(io.TextIOBase):
    """Text stream that notes the first error of writing, calls `on_error`, and drops what follows.

    So no error is raised inside the live view, which would write again while it is taken down.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.on_error: Callable[[], None] = lambda: None
        self.error: OSError | None = None

    @property
    def encoding(self) -> str:  # type: ignore[override]  # a plain attribute in the base
        return self._stream.encoding

    @property
    def reader_is_gone(self) -> bool:
        """True when pipe or terminal were closed."""
        return self.error is not None and self.error.errno in _READER_IS_GONE

    def write(self, text: str) -> int:
        self._attempt(lambda: self._stream.write(text))
        return len(text)

    def flush(self) -> None:
        self._attempt(self._stream.flush)

    def isatty(self) -> bool:
        return self._stream.isatty()

    def fileno(self) -> int:
        return self._stream.fileno()

    def discard_rest(self) -> None:
        """After an error, send what is still buffered nowhere: Python flushes it when it ends."""
        if self.error is not None:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)

    def _attempt(self, step: Callable[[], object]) -> None:
        if self.error is not None:
            return
        try:
            step()
        except OSError as error:
            self.error = error
            self.on_error()
