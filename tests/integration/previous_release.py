"""The previous release, taken out of this repository's history, to run beside this tree."""

from __future__ import annotations

import subprocess
import sys
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

import pytest
import trio

THIS_TREE = Path(__file__).resolve().parents[2]
#: What deployments upgrade from; moves on with each release.
COMMIT = "3b50cf0bf79dc49f6f586a9025aba1b29309a071"

_WHERE = "import permit_gate, supervisor; print(permit_gate.__file__, supervisor.__file__)"
_GATE = """
import sys
from permit_gate import P33, GateRules, PermitGate
url, key, plan_id, symbol = sys.argv[1:]
with PermitGate(url, GateRules(signing_key=key or None)) as gate:
    answer = gate.acquire(plan_id, symbol, [P33])
print(getattr(answer, "reason", "granted"))
"""


def unpack(folder: Path) -> Path:
    """Unpack the previous release's tree below `folder`; return where. Skips the test without its history."""
    git = ["git", "-c", "safe.directory=*", "-C", str(THIS_TREE), "archive", "--format=zip", COMMIT]
    git += [".", ":!tests", ":!bench", ":!docs"]
    try:
        archive = subprocess.run(git, check=True, capture_output=True).stdout  # noqa: S603
    except FileNotFoundError:
        pytest.skip("git is not installed, so there is no previous release to run")
    except subprocess.CalledProcessError as error:
        why = error.stderr.decode(errors="replace").strip()
        pytest.skip(f"this checkout lacks the previous release, commit {COMMIT[:10]}: {why}")
    root = folder / "previous-release"
    with ZipFile(BytesIO(archive)) as packed:
        packed.extractall(root)
    for found in _output(root, _WHERE).split():
        assert Path(found).is_relative_to(root), f"{found} would run instead of the previous release"
    return root


async def gate_answer(root: Path, redis_url: str, signing_key: str, plan_id: str, symbol: str) -> str:
    """Return what the gate of the release in `root` makes of a permit: `granted`, or why it refuses."""
    return await trio.to_thread.run_sync(_output, root, _GATE, redis_url, signing_key, plan_id, symbol)


def _output(root: Path, program: str, *arguments: str) -> str:
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(  # noqa: S603
        command, cwd=root, check=True, capture_output=True, text=True, timeout=30
    ).stdout.strip()
