"""Caps of the dependencies whose private parts are used."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
PROJECT = (ROOT / "pyproject.toml").read_text()
#: A dependency below an upper limit, and the file that needs it.
CAPPED = dict(re.findall(r'^ *"([^";]*<[^";]*)",(?:  # ([\w/.]+))?', PROJECT, re.M))
ON_THE_GATE = re.findall(
    r'"redis\S*==([0-9.]+)"', (ROOT / "permit-gate/tests/each_redis_version.py").read_text()
)


def pinned(package: str) -> Version:
    """Return the version in constraints.txt."""
    line = rf"^{package.replace('-', '[-_]')}==([^;\s]+)"
    (found,) = re.findall(line, (ROOT / "constraints.txt").read_text(), re.M | re.I)
    return Version(found)


def test_the_service_has_a_cap_for_each_package_whose_private_parts_it_uses() -> None:
    runtime = map(Requirement, tomllib.loads(PROJECT)["project"]["dependencies"])
    capped = {each.name for each in runtime if "<" in str(each.specifier)}
    assert capped == {"hypercorn", "redis", "trio-asyncio"}


@pytest.mark.parametrize("capped", CAPPED)
def test_a_cap_admits_the_tested_version_alone_and_names_the_file_that_needs_it(capped: str) -> None:
    required = Requirement(capped)
    version = pinned(required.name)
    following = f"{version.major + 1}.0" if version.major else f"0.{version.minor + 1}"
    assert version in required.specifier
    assert following not in required.specifier
    path = ROOT / CAPPED[capped]
    sources = [file.read_text() for file in (path.glob("*.py") if path.is_dir() else [path])]
    assert any(
        re.search(rf"import .*\b{required.name.replace('-', '_')}\b|from {required.name}\b", text)
        for text in sources
    )


def test_the_newest_redis_py_that_the_gate_is_tested_on_is_the_services_own() -> None:
    assert max(map(Version, ON_THE_GATE)) == pinned("redis")
