from __future__ import annotations

from pathlib import Path

import pytest

from scripts import check_language
from scripts.check_language import Counts, check_file, docstrings, house_files, listed_words, main

SOURCE = '''"""Who reads this."""
class OnlookerStore:
    """Store for diagnostics."""
    async def find(self, told_sec):
        """Whether one is there."""
        # Nobody mends it; a recommendation is foretold.
        return "seldom"
'''


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(check_language, "_ROOT", tmp_path)
    (tmp_path / "tests").mkdir()
    return tmp_path


def test_docstrings_of_modules_classes_and_functions_are_found_with_their_lines() -> None:
    assert sorted(docstrings(SOURCE)) == [
        (1, "Who reads this."),
        (3, "Store for diagnostics."),
        (5, "Whether one is there."),
    ]


def test_listed_words_are_found_in_names_comments_and_literals_but_not_within_other_words() -> None:
    assert list(listed_words(SOURCE)) == [
        (2, "Onlooker"),
        (4, "told"),
        (6, "Nobody"),
        (6, "mends"),
        (7, "seldom"),
    ]


def test_words_in_tests_are_counted_apart_and_their_docstrings_are_not(root: Path) -> None:
    for name in ("code.py", "tests/test_code.py"):
        (root / name).write_text(SOURCE, encoding="utf-8")
    assert check_file(root / "code.py")[0] == Counts(3, 2, lines=7, listed=5)
    assert check_file(root / "tests/test_code.py")[0] == Counts(3, 2, lines_in_tests=7, listed_in_tests=5)


def test_documents_are_read_and_hidden_folders_are_not(root: Path) -> None:
    (root / ".venv").mkdir()
    for name in ("README.md", ".venv/code.py", "data.json"):
        (root / name).write_text("told", encoding="utf-8")
    assert list(house_files([root])) == [root / "README.md"]


def test_more_than_the_bounds_fails_and_names_the_places(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (root / "code.py").write_text(SOURCE, encoding="utf-8")
    assert main([]) == 1
    assert "code.py:2: Onlooker\n" in capsys.readouterr().out
    assert main(["--count"]) == 1
    assert capsys.readouterr().out.startswith("2 of 3 docstrings begin with a question word (66.7%")


def test_a_test_named_by_a_question_fails_and_is_named(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ("what_is_odd_is_refused", "when_it_ends", "whatever_it_is", "a_rule_which_holds")
    text = "".join(f"\nasync def test_{name}() -> None: ...\n" for name in names)
    (root / "tests/test_code.py").write_text(text, encoding="utf-8")
    assert main([]) == 1
    *faults, counted = capsys.readouterr().out.splitlines()
    assert faults == [
        f"tests/test_code.py:{line}: test_{name}: the name of a test states the rule, without a question word"
        for line, name in ((2, names[0]), (4, names[1]))
    ]
    assert counted.endswith("; 2 names of tests or lengths of files against the rules")


@pytest.mark.parametrize("name", ["code.py", "tests/test_code.py", "commit.lua"])
def test_a_file_of_code_above_320_lines_fails_and_is_named(
    root: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    for other in (name, "README.md"):
        (root / other).write_text("\n" * (320 if other == name else 400), encoding="utf-8")
    assert (main([]), capsys.readouterr().out) == (0, "")
    (root / name).write_text("\n" * 321, encoding="utf-8")
    assert main([]) == 1
    shown = f"{name}: 321 lines, 320 are allowed: divide the file along its subject\n"
    assert capsys.readouterr().out.startswith(shown)


def test_a_clean_house_passes_and_prints_nothing(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "code.py").write_text('"""Store for diagnostics."""\n', encoding="utf-8")
    assert main([]) == 0
    assert capsys.readouterr().out == ""
