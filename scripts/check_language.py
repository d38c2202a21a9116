"""House language: words and docstring openings that are not used here; `make style` runs it.

Prints file and line of each; with `--count` the numbers only. Exit code 1: more than 2 % of the docstrings
begin with a question word, or more than 2 listed words stand in 1,000 lines outside tests.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

_ROOT = Path(__file__).resolve().parents[1]
_SUFFIXES = (".py", ".lua", ".md")
_SKIPPED = ("build", "dist", "check_language.py", "test_check_language.py")

_MAX_QUESTION_SHARE = 0.02
_MAX_LISTED_IN_1000_LINES = 2.0

_QUESTION = re.compile(r"(What|Who|Whose|Whether|How|Which|Where|When)\b")
# Parts of a name: `SymbolBeliefs` and `symbol_beliefs` are two words each.
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")
_LISTED = re.compile(
    r"told|tells?|somebody|nobody|whoever|heed(s|ed|ing)?|vouch\w*|lately|seldom|meanwhile|stirred"
    r"|bury|buri(es|ed|al)|tarry\w*|tarried|withheld|onlook\w*|manners|reckon\w*|doubt\w*|beliefs?"
    r"|mend(s|ed|ing)?",
    re.IGNORECASE,
)


def _in_1000_lines(number: int, lines: int) -> float:
    return 1000 * number / lines if lines else 0.0


class Found(NamedTuple):
    """Place and text of one finding; `line` counts from 1."""

    line: int
    text: str


class Counts(NamedTuple):
    docstrings: int = 0
    questions: int = 0
    lines: int = 0
    listed: int = 0
    lines_in_tests: int = 0
    listed_in_tests: int = 0

    @property
    def question_share(self) -> float:
        """Share of docstrings that begin with a question word, between 0 and 1."""
        return self.questions / self.docstrings if self.docstrings else 0.0

    @property
    def listed_in_1000_lines(self) -> float:
        """Listed words in 1,000 lines outside tests."""
        return _in_1000_lines(self.listed, self.lines)

    @property
    def within_bounds(self) -> bool:
        return (
            self.question_share <= _MAX_QUESTION_SHARE
            and self.listed_in_1000_lines <= _MAX_LISTED_IN_1000_LINES
        )

    def plus(self, other: Counts) -> Counts:
        return Counts(*(mine + its for mine, its in zip(self, other, strict=True)))

    def __str__(self) -> str:
        listed = f"{self.listed_in_1000_lines:.1f} (at most {_MAX_LISTED_IN_1000_LINES:g})"
        in_tests = _in_1000_lines(self.listed_in_tests, self.lines_in_tests)
        return (
            f"{self.questions} of {self.docstrings} docstrings begin with a question word"
            f" ({self.question_share:.1%}, at most {_MAX_QUESTION_SHARE:.0%});"
            f" listed words in 1,000 lines: {listed}, {in_tests:.1f} in tests"
        )


def docstrings(source: str) -> Iterator[Found]:
    """Yield the first line of each docstring in Python source."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node)
            if text:
                yield Found(node.body[0].lineno, text.splitlines()[0])


def listed_words(text: str) -> Iterator[Found]:
    """Yield each word of the list, in names as well as in prose."""
    for number, line in enumerate(text.splitlines(), start=1):
        for word in _WORD.findall(line):
            if _LISTED.fullmatch(word):
                yield Found(number, word)


def house_files(folders: Iterable[Path]) -> Iterator[Path]:
    """Yield the Python, Lua and Markdown files in the folders, without hidden and built ones."""
    for folder in folders:
        for path in sorted(folder.rglob("*") if folder.is_dir() else [folder]):
            parts = path.relative_to(_ROOT).parts
            hidden = any(part.startswith(".") or part in _SKIPPED for part in parts)
            if path.suffix in _SUFFIXES and not hidden:
                yield path


def check_file(path: Path) -> tuple[Counts, list[str]]:
    """Count one file's findings, and return them as lines to print."""
    text = path.read_text(encoding="utf-8")
    name = path.relative_to(_ROOT)
    opened = list(docstrings(text)) if path.suffix == ".py" else []
    questions = [found for found in opened if _QUESTION.match(found.text)]
    listed = list(listed_words(text))
    size = len(text.splitlines())
    counts = Counts(len(opened), len(questions))
    if "tests" in name.parts:
        counts = counts._replace(lines_in_tests=size, listed_in_tests=len(listed))
    else:
        counts = counts._replace(lines=size, listed=len(listed))
    return counts, [f"{name}:{found.line}: {found.text}" for found in sorted(questions + listed)]


def main(arguments: list[str]) -> int:
    """Check the folders that are given, by default the whole repository."""
    folders = [Path(argument).resolve() for argument in arguments if argument != "--count"]
    counts = Counts()
    printed: list[str] = []
    for path in house_files(folders or [_ROOT]):
        in_file, lines = check_file(path)
        counts = counts.plus(in_file)
        printed += lines
    if "--count" not in arguments and not counts.within_bounds:
        print("\n".join(printed))
    if "--count" in arguments or not counts.within_bounds:
        print(counts)
    return 0 if counts.within_bounds else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
