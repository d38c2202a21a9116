"""Prints the test files that a change touches: `make test-changed`.

A change is what differs from the commit where this branch left `main` (or another branch that is named),
uncommitted and untracked files included. A test file is printed when it has changed, or a file that it
imports, directly or through others.

* A string counts as an import when it is the path of a file, or the name of a module that has a dot or a
  `__main__`.
* A file that is not Python counts as imported by the Python files that have its name in a string, by those
  nearest above it, and by the tests that mirror its folder (tests/docs: docs/).
* Importing a submodule runs its package's `__init__.py`: a change of that file counts, a change of what it
  imports does not.
* A test imports each conftest.py above it. All tests depend on pyproject.toml and constraints.txt.

Tests of the whole service (tests/integration, tests/simulation) depend on all of it. They are printed only
when a changed file below tests/ leads to them; `make test` runs them.
"""

from __future__ import annotations

import argparse
import ast
import subprocess
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parents[1]
_ALL_TESTS_DEPEND_ON = {"pyproject.toml", "constraints.txt"}
_WHOLE_SERVICE = ("tests/integration/", "tests/simulation/")
_SOURCE_ROOTS = ("permit-gate/src/", "permit-gate/tests/")


class Imports:
    """The files that import a file, by path."""

    def __init__(self, root: Path, files: Iterable[str]) -> None:
        self._files = frozenset(files)
        self._modules = {_module_name(path): path for path in self._files if path.endswith(".py")}
        self._importers: dict[str, set[str]] = defaultdict(set)
        self._passing_through: dict[str, set[str]] = defaultdict(set)
        others = [path for path in self._files if not path.endswith(".py")]
        self._by_name = {name: path for path in others if "." in (name := PurePosixPath(path).name)}
        for path in self._modules.values():
            for node in ast.walk(ast.parse((root / path).read_text())):
                match node:
                    case ast.Import():
                        for alias in node.names:
                            self._add_import(path, alias.name, "")
                    case ast.ImportFrom(module=str(module)):
                        for alias in node.names:
                            self._add_import(path, module, alias.name)
                    case ast.Constant(value=str(text)):
                        self._add_string(path, text)
        for path in self._files:
            for folder in _folders(path):
                if is_test(path) and (conftest := f"{folder}conftest.py") in self._files:
                    self._importers[conftest].add(path)
        for path in others:
            self._importers[path] |= self._around(path)

    def reached(self, changes: Iterable[str]) -> set[str]:
        """Return the changed files and all that import one of them."""
        reached = set(changes)
        for path in tuple(reached):
            reached |= self._passing_through[path]
        left = list(reached)
        while left:
            new = self._importers[left.pop()] - reached
            reached |= new
            left += new
        return reached

    def _add_import(self, importer: str, module: str, name: str) -> None:
        imported = f"{module}.{name}" if f"{module}.{name}" in self._modules else module
        if imported in self._modules:
            self._importers[self._modules[imported]].add(importer)
        while imported := imported.rpartition(".")[0]:
            if imported in self._modules:
                self._passing_through[self._modules[imported]].add(importer)

    def _add_string(self, importer: str, text: str) -> None:
        found = {
            text if text in self._files else None,
            self._by_name.get(text.rpartition("/")[2]),
            self._modules.get(text) if "." in text else None,
            self._modules.get(f"{text}.__main__"),
        }
        for path in found - {None}:
            self._importers[str(path)].add(importer)

    def _around(self, path: str) -> set[str]:
        """Return the Python files nearest above another file, and the tests that mirror its folder."""
        top = path.partition("/")[0]
        mirroring = {each for each in self._files if is_test(each) and each.startswith(f"tests/{top}/")}
        for folder in _folders(path)[:-1]:
            if beside := {each for each in self._modules.values() if _folders(each)[0] == folder}:
                return mirroring | beside
        return mirroring


def touched_tests(imports: Imports, files: Iterable[str], changes: set[str]) -> list[str]:
    """Return the test files that the changes touch, in order."""
    if changes & _ALL_TESTS_DEPEND_ON:
        return sorted(filter(is_test, files))
    by_tests = imports.reached(change for change in changes if change.startswith("tests/"))
    reached = {path for path in imports.reached(changes) if not path.startswith(_WHOLE_SERVICE)}
    return sorted(path for path in (by_tests | reached) & set(files) if is_test(path))


def is_test(path: str) -> bool:
    """Return whether pytest collects the file."""
    name = PurePosixPath(path).name
    return name.startswith("test_") and name.endswith(".py")


def changed_files(branch: str) -> set[str]:
    """Return the files that differ from where this branch left `branch`, deleted ones included."""
    left_at = _git("merge-base", "HEAD", branch)[0]
    untracked = _git("ls-files", "--others", "--exclude-standard")
    return {*_git("diff", "--name-only", "--no-renames", left_at), *untracked}


def _module_name(path: str) -> str:
    for root in _SOURCE_ROOTS:
        path = path.removeprefix(root)
    return path.removesuffix(".py").replace("/", ".").removesuffix(".__init__")


def _folders(path: str) -> list[str]:
    """Return the folders that a file is in, from its own ("a/b/", "a/", "")."""
    return ["" if str(folder) == "." else f"{folder}/" for folder in PurePosixPath(path).parents]


def _git(*arguments: str) -> list[str]:
    done = subprocess.run(["git", *arguments], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)  # noqa: S603, S607
    return done.stdout.splitlines()


def main() -> None:
    """Print the touched test files, one a line."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("branch", nargs="?", default="main")
    changes = changed_files(options.parse_args().branch)
    files = {
        path
        for path in _git("ls-files", "--cached", "--others", "--exclude-standard")
        if (ROOT / path).exists()
    }
    print("\n".join(touched_tests(Imports(ROOT, files), files, changes)))


if __name__ == "__main__":
    main()
