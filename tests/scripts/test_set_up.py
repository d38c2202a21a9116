"""`make demo` sets up its virtual environment, or says in one sentence what is lacking."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.process

_SOURCES = Path(__file__).parents[2]


def _set_up(venv: Path, python: str | Path, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - a script of this repository
        [_SOURCES / "scripts/set_up.sh", venv, python, "dev"],
        cwd=_SOURCES,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def _program(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(("#!/bin/sh", *lines, "")))
    path.chmod(0o755)
    return path


def _assert_one_sentence(done: subprocess.CompletedProcess[str], sentence: str) -> None:
    assert done.returncode == 1
    assert done.stderr == f"{sentence}\n", done.stderr


def test_an_interpreter_that_is_too_old_is_named_before_anything_is_made(tmp_path: Path) -> None:
    old = _program(tmp_path / "python", "echo 3.9")
    done = _set_up(tmp_path / "venv", old)
    _assert_one_sentence(
        done, f"Python 3.11 to 3.14 is needed, and {old} is 3.9; PYTHON=/path/to/python3.12 sets another"
    )
    assert done.stdout == ""
    assert not (tmp_path / "venv").exists()


def test_an_interpreter_that_is_not_there_is_named(tmp_path: Path) -> None:
    done = _set_up(tmp_path / "venv", tmp_path / "none")
    _assert_one_sentence(
        done,
        f"Python 3.11 to 3.14 is needed, and {tmp_path}/none does not run; "
        "PYTHON=/path/to/python3.12 sets another",
    )


def test_an_interpreter_without_the_module_venv_is_named_with_the_package_that_has_it(tmp_path: Path) -> None:
    (tmp_path / "ensurepip.py").write_text("raise ImportError")
    done = _set_up(tmp_path / "venv", sys.executable, PYTHONPATH=str(tmp_path))
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    _assert_one_sentence(
        done,
        f"{sys.executable} lacks the module venv; Debian has it in the package python{version}-venv",
    )
    assert not (tmp_path / "venv").exists()


def test_a_place_that_cannot_be_written_is_named_before_anything_is_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = _set_up(tmp_path / "file/venv", sys.executable)
    _assert_one_sentence(done, f"{tmp_path}/file/venv cannot be made; is this directory read-only?")


def test_an_index_that_cannot_be_reached_is_one_sentence_after_the_line_of_progress(tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    unreachable = {"PIP_INDEX_URL": "http://127.0.0.1:1/simple", "PIP_CONFIG_FILE": os.devnull}
    done = _set_up(venv, sys.executable, **unreachable, PIP_FIND_LINKS="", PIP_NO_INDEX="")
    _assert_one_sentence(
        done, "The package index cannot be reached; HTTPS_PROXY sets a proxy, PIP_INDEX_URL a mirror"
    )
    assert done.stdout == (
        f"Setting up {venv} with {sys.executable}: a minute or more, and 300 MB, "
        "most of it from the package index\n"
    )
