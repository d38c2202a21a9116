"""The wheel, built from the source distribution: everything that the gate needs is in it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
USE = """
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

import permit_gate
from permit_gate import GOVERNOR, P33, Ask
from permit_gate.asyncio_gate import AsyncioPermitGate

conversation = Ask("a", "BTCUSDT", [GOVERNOR, P33]).conversation(lambda: 0.0)
conversation.send(None)
assert "DEL" in files(permit_gate).joinpath("consume.lua").read_text()
assert files(permit_gate).joinpath("py.typed").is_file()
print(version("permit-gate"), Path(permit_gate.__file__).parents[1])
"""


def build(kind: str, project: Path, into: Path) -> Path:
    """Build a `wheel` or an `sdist` with the setuptools of this interpreter."""
    made = subprocess.run(
        [sys.executable, "-c", f"from setuptools.build_meta import *; print(build_{kind}({str(into)!r}))"],
        cwd=project,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return into / made.stdout.splitlines()[-1]


@pytest.fixture
def clean_python(tmp_path: Path) -> Path:
    """An interpreter with redis-py and nothing else."""
    folder = tmp_path / "venv"
    venv.create(folder, with_pip=False, symlinks=True)
    ours = Path(sysconfig.get_path("purelib"))
    theirs = Path(sysconfig.get_path("purelib", vars={"base": str(folder)}))
    for name in ("redis", "async_timeout"):  # the second where Python has no asyncio.timeout
        if (ours / name).is_dir():
            (theirs / name).symlink_to(ours / name)
    return folder / "bin" / "python"


def test_the_wheel_works_in_an_environment_with_nothing_but_redis_py(
    tmp_path: Path, clean_python: Path
) -> None:
    source = tmp_path / "source"
    shutil.copytree(PROJECT, source, ignore=shutil.ignore_patterns("*.egg-info", "__pycache__", "build"))
    packed = build("sdist", source, tmp_path)
    shutil.unpack_archive(packed, tmp_path / "unpacked", "gztar")
    (unpacked,) = (tmp_path / "unpacked").iterdir()
    wheel = build("wheel", unpacked, tmp_path)
    assert wheel.name.endswith("-py3-none-any.whl")
    site = Path(sysconfig.get_path("purelib", vars={"base": str(clean_python.parents[1])}))
    shutil.unpack_archive(wheel, site, "zip")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        [clean_python, "-c", USE], cwd="/", env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    version, _, place = done.stdout.strip().partition(" ")
    assert packed.name == f"permit_gate-{version}.tar.gz"
    assert Path(place) == site
    assert {path.name for path in site.iterdir()} >= {"permit_gate", f"permit_gate-{version}.dist-info"}
    assert not (site / "tests").exists()
