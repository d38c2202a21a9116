"""House language: words, openings and lengths that are not used here; `make style` runs it.

Prints file and line of each; with `--count` the numbers only. Exit code 1: more than 2 % of the docstrings
begin with a question word, more than 2 listed words stand in 1,000 lines outside tests, the name of a test
begins with a question word, or a Python or Lua file is longer than 320 lines.
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
_MAX_LINES = 320

_QUESTION_WORDS = "What|Who|Whose|Whether|How|Which|Where|When"
_QUESTION = re.compile(rf"({_QUESTION_WORDS})\b")
_QUESTION_TEST = re.compile(rf"\s*(?:async )?def (test_({_QUESTION_WORDS.lower()})_\w+)")
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
    faults: int = 0

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
            f" listed words in 1,000 lines: {listed}, {in_tests:.1f} in tests;"
            f" {self.faults} names of tests or lengths of files against the rules"
        )


class Checked(NamedTuple):
    """Result for one file: the findings are allowed within bounds, the faults not at all."""

    counts: Counts
    findings: list[str]
    faults: list[str]


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


def question_tests(text: str) -> Iterator[Found]:
    """Yield each test function whose name begins with a question word."""
    for number, line in enumerate(text.splitlines(), start=1):
        if found := _QUESTION_TEST.match(line):
            yield Found(number, found[1])


def house_files(folders: Iterable[Path]) -> Iterator[Path]:
    """Yield the Python, Lua and Markdown files in the folders, without hidden and built ones."""
    for folder in folders:
        for path in sorted(folder.rglob("*") if folder.is_dir() else [folder]):
            parts = path.relative_to(_ROOT).parts
            hidden = any(part.startswith(".") or part in _SKIPPED for part in parts)
            if path.suffix in _SUFFIXES and not hidden:
                yield path


def check_file(path: Path) -> Checked:
    """Count one file's findings, and return them as lines to print."""
    text = path.read_text(encoding="utf-8")
    name = path.relative_to(_ROOT)
    opened = list(docstrings(text)) if path.suffix == ".py" else []
    questions = [found for found in opened if _QUESTION.match(found.text)]
    listed = list(listed_words(text))
    size = len(text.splitlines())
    faults = []
    if path.suffix == ".py":
        faults += [
            f"{name}:{found.line}: {found.text}: the name of a test states the rule, without a question word"
            for found in question_tests(text)
        ]
    if path.suffix != ".md" and size > _MAX_LINES:
        faults.append(f"{name}: {size} lines, {_MAX_LINES} are allowed: divide the file along its subject")
    counts = Counts(len(opened), len(questions), faults=len(faults))
    if "tests" in name.parts:
        counts = counts._replace(lines_in_tests=size, listed_in_tests=len(listed))
    else:
        counts = counts._replace(lines=size, listed=len(listed))
    findings = [f"{name}:{found.line}: {found.text}" for found in sorted(questions + listed)]
    return Checked(counts, findings, faults)


def main(arguments: list[str]) -> int:
    """Check the folders that are given, by default the whole repository."""
    folders = [Path(argument).resolve() for argument in arguments if argument != "--count"]
    checked = [check_file(path) for path in house_files(folders or [_ROOT])]
    counts = Counts()
    for each in checked:
        counts = counts.plus(each.counts)
    clean = counts.within_bounds and not counts.faults
    findings = [] if counts.within_bounds else [line for each in checked for line in each.findings]
    faults = [line for each in checked for line in each.faults]
    if "--count" not in arguments and not clean:
        print("\n".join(findings + faults))
    if "--count" in arguments or not clean:
        print(counts)
    return 0 if clean else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
