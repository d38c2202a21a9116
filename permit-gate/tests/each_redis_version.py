"""Runs the tests on each major version of redis-py that is supported: `make test-gate-versions`.

Each version is installed into a folder of its own, which comes before the interpreter's own packages; the
other dependencies of the tests are the interpreter's. Every other version runs without hiredis. All run at
once: they wait for most of their time. Exit code 1 if anything failed.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

TESTS = Path(__file__).parent
REQUIREMENTS = (
    "redis==4.6.0",
    "redis[hiredis]==5.0.8",
    "redis==6.4.0",
    "redis[hiredis]==7.0.0",  # the first with pushes, and the only 7 without maintenance notices on asyncio
    "redis==8.1.0",
)
#: Failed over by real Sentinels: the oldest, and the first with pushes. `make test` does it on the newest.
FAILED_OVER = (REQUIREMENTS[0], REQUIREMENTS[3])
_FAILOVERS = "test_a_gate_follows_the_primary_that_sentinels_name"
_VERSION = "import redis; print(redis.__version__)"


def install(requirement: str, folder: Path) -> None:
    """Install `requirement` into `folder`, and hide the interpreter's hiredis unless it is asked for."""
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    # pip warns of what the interpreter's own packages would rather have: they are not what is tested.
    subprocess.run(
        [*pip, "install", "--target", str(folder), requirement], check=True, stderr=subprocess.PIPE
    )
    if "[hiredis]" not in requirement:
        (folder / "hiredis.py").write_text("raise ImportError('not installed')\n")


def tested(requirement: str) -> bool:
    """Run all tests of one version; return True if they pass, and print all output if not."""
    begun_sec = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        install(requirement, Path(folder))
        environment = {**os.environ, "PYTHONPATH": folder}
        imported = subprocess.check_output([sys.executable, "-c", _VERSION], env=environment, text=True)
        assert requirement.endswith(f"=={imported.strip()}"), imported
        done = subprocess.run(
            [
                *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(TESTS)),
                # What does not depend on redis-py.
                *(f"--ignore={TESTS / name}" for name in ("test_distribution.py", "test_reading.py")),
                *([] if requirement in FAILED_OVER else ["-k", f"not {_FAILOVERS}"]),
            ],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
    took_sec = time.monotonic() - begun_sec
    lines = done.stdout.splitlines()
    if done.returncode:
        print(done.stdout)
    said = lines[-1] if lines else "nothing"
    print(
        f"{requirement} on Python {platform.python_version()}: {said}; {took_sec:.0f} s with its installation"
    )
    return done.returncode == 0


if __name__ == "__main__":
    with ThreadPoolExecutor(len(REQUIREMENTS)) as pool:
        sys.exit(not all(list(pool.map(tested, REQUIREMENTS))))
