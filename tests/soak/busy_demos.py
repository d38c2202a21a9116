"""`python -m tests.soak.busy_demos`: demos one after the other, beside two busy loops a processor.

Exit code 1: one of them failed, showed a traceback, was not over in time, or ended without its verdict.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import trio

from tests.integration.demo_process import PATIENCE_SEC, running_demo

_LOOPS_A_PROCESSOR = 2
#: It ends with the process that started it, however that ends.
_LOOP = "import os, sys\nwhile os.getppid() == int(sys.argv[1]):\n    pass\n"
#: What a demo that may end with an exit code says.
_SAYS = {0: "OK: every plan was answered", 75: "this machine was too busy"}


def fault(code: int, output: str) -> str | None:
    """Return what is wrong with an ended demo, if anything."""
    if "Traceback" in output:
        return "it shows a traceback"
    if code not in _SAYS:
        return f"it ended with exit code {code}"
    return None if _SAYS[code] in output else f"its exit code is {code}, and it does not say {_SAYS[code]!r}"


@contextmanager
def busy_loops(count: int) -> Iterator[list[int]]:
    """Run so many endless loops for the length of a block; yield their process ids."""
    command = [sys.executable, "-c", _LOOP, str(os.getpid())]
    loops = [subprocess.Popen(command) for _ in range(count)]  # noqa: S603
    try:
        yield [loop.pid for loop in loops]
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


async def _one(seconds: int) -> tuple[str, str | None, str]:
    """Run a demo; return how it ended, its fault and its output."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            async with running_demo(Path(folder), "--seconds", str(seconds)) as demo:
                code = await demo.ended()
        except trio.TooSlowError:
            return "no end", f"it was not over within {PATIENCE_SEC} s", demo.output
    return f"exit code {code}", fault(code, demo.output), demo.output


async def run(demos: int, seconds: int) -> int:
    """Run so many, a line for each; return the exit code."""
    loops = _LOOPS_A_PROCESSOR * (os.cpu_count() or 1)
    ends: list[str] = []
    took_sec: list[float] = []
    faults = 0
    with busy_loops(loops):
        for number in range(1, demos + 1):
            begun_sec = trio.current_time()
            end, found, output = await _one(seconds)
            took_sec.append(trio.current_time() - begun_sec)
            ends.append(end)
            print(f"demo {number:2}: {end}, {took_sec[-1]:.0f} s", flush=True)
            if found:
                faults += 1
                print(f"{found}:\n{output}", flush=True)
    counted = ", ".join(f"{ends.count(each)} x {each}" for each in dict.fromkeys(ends))
    print(
        f"{demos} demos of {seconds} s beside {loops} busy loops: {counted}; "
        f"{min(took_sec):.0f} to {max(took_sec):.0f} s each, {faults} at fault"
    )
    return 1 if faults else 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is asked for; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak.busy_demos", description=__doc__)
    parser.add_argument("--demos", type=int, default=10, help="so many, one after the other (default: 10)")
    parser.add_argument("--seconds", type=int, default=10, help="each so long (default: 10)")
    options = parser.parse_args(arguments)
    return trio.run(run, options.demos, options.seconds)


if __name__ == "__main__":
    sys.exit(main())
