"""Wheels of installed distributions, for pip where no package index can be reached."""

from __future__ import annotations

from importlib.metadata import Distribution, distribution
from pathlib import Path
from zipfile import ZipFile

from packaging.requirements import Requirement

_OUR_OWN = {"permit-gate", "position-state-brain"}


def fill(folder: Path) -> None:
    """Write wheels of what the service needs to be built and to run, in the installed versions."""
    for needed in _closure("position-state-brain") - _OUR_OWN | {"setuptools"}:
        _pack(distribution(needed), folder)


def _closure(root: str) -> set[str]:
    """Return the names of a distribution and of all that it requires."""
    wanted = {(root, "")}
    seen: set[tuple[str, str]] = set()
    while wanted:
        name, extra = wanted.pop()
        seen.add((name, extra))
        for line in distribution(name).requires or []:
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
                wanted |= {(requirement.name, each) for each in ("", *requirement.extras)} - seen
    return {name for name, _ in seen}


def _pack(installed: Distribution, folder: Path) -> None:
    described = installed.read_text("WHEEL") or ""
    # Of several the last: py3 after py2, the newer platform after the older.
    tag = [line.removeprefix("Tag: ") for line in described.splitlines() if line.startswith("Tag: ")][-1]
    name = installed.name.replace("-", "_").replace(".", "_")
    with ZipFile(folder / f"{name}-{installed.version}-{tag}.whl", "w") as wheel:
        for file in installed.files or []:
            # Scripts lie outside, and compiled modules are made anew.
            if ".." not in file.parts and "__pycache__" not in file.parts:
                wheel.write(str(installed.locate_file(file)), str(file))
