"""The allocator's settings, in a process of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.process

#: Frees a large buffer, then 200 of 600 KB with a small one behind each; prints what is kept (MB).
_PROGRAM = """
import os, sys
from commands.run.collector import return_freed_memory
def resident_mb():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
if sys.argv[1] == "applied":
    return_freed_memory()
first = b"x" * 900_000
del first
begun_mb, large, small = resident_mb(), [], []
for number in range(200):
    large.append(b"x" * 600_000)
    small.append(b"%d" % number * 2_000)
large.clear()
print(resident_mb() - begun_mb)
"""


def kept_mb(name: str) -> float:
    program = [sys.executable, "-c", _PROGRAM, name]
    return float(subprocess.run(program, capture_output=True, text=True, check=True).stdout)  # noqa: S603


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, and sets glibc")
def test_large_buffers_that_are_freed_go_back_to_the_system() -> None:
    assert kept_mb("applied") < 5 < 20 < kept_mb("left alone")
