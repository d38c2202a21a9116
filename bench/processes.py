"""Child processes: started with an empty environment, measured by /proc, stopped by their handle."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from commands.demo.children import inherited_environ

_SOURCES = Path(__file__).parents[1]
_STOP_SEC = 8.0
_START_SEC = 60.0
_LOOK_SEC = 0.01
_TICKS = os.sysconf("SC_CLK_TCK")


class ChildFailedError(Exception):
    """Child process ended by itself or did not get ready; with its last lines of output."""


class Child:
    """Running `python -m …`."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], log_path: Path) -> None:
        self._name = name
        self._process = process
        self._log_path = log_path
        self._killed = False

    def cpu_sec(self) -> float:
        """Return the processor time used so far (seconds), user and system."""
        # The program's name, in brackets, may contain any character: count from behind it.
        values = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(values[11]) + int(values[12])) / _TICKS

    def resident_mb(self) -> float:
        """Return the resident memory in 10^6 bytes."""
        pages = int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    def proportional_mb(self) -> float:
        """Return the resident memory in 10^6 bytes, pages of several processes divided by their number."""
        rollup = Path(f"/proc/{self._process.pid}/smaps_rollup").read_text()
        (pages_kb,) = (line.split()[1] for line in rollup.splitlines() if line.startswith("Pss:"))
        return int(pages_kb) * 1024 / 1e6

    def first_line(self) -> bytes:
        """Return the first line of its standard output. Raises ChildFailedError."""
        return self.wait_until(lambda: self._lines()[0] if self._lines() else b"", "wrote nothing")

    def wait_until(self, look: Callable[[], bytes], otherwise: str) -> bytes:
        """Poll until a condition holds. Raises ChildFailedError."""
        give_up_sec = time.monotonic() + _START_SEC
        while time.monotonic() < give_up_sec:
            if seen := look():
                return seen
            if self._process.poll() is not None:
                raise self.failure(f"ended with {self._process.returncode}")
            time.sleep(_LOOK_SEC)
        raise self.failure(otherwise)

    def failure(self, what: str) -> ChildFailedError:
        """Return an error with `what` and the end of the log."""
        end = b"\n".join(self._log_path.read_bytes().splitlines()[-15:]).decode(errors="replace")
        return ChildFailedError(f"{self._name} {what}\n{end}")

    @property
    def ended(self) -> bool:
        """True if it has ended by itself."""
        return not self._killed and self._process.poll() is not None

    def kill(self) -> None:
        """Send SIGKILL, and wait for the end."""
        self._killed = True
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """Send SIGTERM, and SIGKILL if it does not end."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(_STOP_SEC)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._process.wait()

    def _lines(self) -> list[bytes]:
        return [
            line for line in self._log_path.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")
        ]


@contextmanager
def child(
    name: str, folder: Path, *arguments: str, settings: Mapping[str, str] | None = None
) -> Iterator[Child]:
    """Run `python -m <arguments>` within the block; both its outputs go to one file in `folder`."""
    log_path = folder / f"{name}.log"
    with log_path.open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 - our own modules
            [sys.executable, "-m", *arguments],
            cwd=_SOURCES,
            env={**inherited_environ(), **(settings or {})},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    running = Child(name, process, log_path)
    try:
        yield running
    finally:
        running.stop()
