"""clock.py and supervisor.py are single modules, which the import linter does not look into."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
OWN = {
    "actors", "bench", "brain", "channels", "clock", "clocks", "commands", "exchange", "explanation",
    "monitoring", "page", "permit_gate", "settings", "simulator", "store", "supervision", "supervisor",
    "wiring",
}  # fmt: skip


def own_imports(module: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").split(".")[0])
    return names & OWN


@pytest.mark.parametrize(
    ("module", "allowed"),
    [
        ("clock.py", {"brain"}),
        ("supervisor.py", OWN - {"bench", "commands", "permit_gate", "simulator", "supervisor"}),
    ],
)
def test_single_modules_import_only_what_lies_below_them(module: str, allowed: set[str]) -> None:
    assert own_imports(ROOT / module) <= allowed
