"""Output of findings: on a terminal, on a narrow one, in a pipe, and as JSON."""

from __future__ import annotations

import io
import json
import re

import pytest
from rich.console import Console

from commands.check import findings_report
from commands.check.findings import failed, ok, skipped, warning
from commands.check.findings_report import FindingsReport
from commands.console import progress
from commands.console.progress import patience

LONG = "what was seen, shown at such length that it needs a second line on every screen that is not very wide"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def drawn(
    monkeypatch: pytest.MonkeyPatch, width: int, *, no_color: bool = False, as_json: bool = False
) -> list[str]:
    file = Terminal()
    monkeypatch.setattr(
        findings_report,
        "screen",
        lambda: Console(
            file=file, width=width, force_terminal=True, no_color=no_color, markup=False, highlight=False
        ),
    )
    report = FindingsReport(as_json=as_json)
    report.add(ok("first", LONG))
    report.add(failed("second", "\x1b[2Jhostile", "repair it"))
    report.add(warning("third", "odd", "look at it"))
    report.add(skipped("fourth", "not checked"))
    report.close()
    return file.getvalue().splitlines()


def test_on_a_terminal_what_was_seen_stands_beside_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [line.rstrip() for line in drawn(monkeypatch, 80, no_color=True)]
    plain = [_without_escapes(line).rstrip() for line in lines]
    assert plain[0].startswith("ok    first                what was seen, shown at such length")
    assert plain[1].startswith(" " * 27) and plain[1].strip()
    assert plain[2] == "FAIL  second               \\x1b[2Jhostile"
    assert plain[3] == " " * 27 + "fix: repair it"
    assert plain[-1] == "1 ok, 1 warning, 1 failed, 1 skipped"
    assert max(map(len, plain)) <= 80


def test_on_a_phone_it_stands_below(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = [_without_escapes(line).rstrip() for line in drawn(monkeypatch, 40)]
    assert plain[0] == "ok   first"
    assert plain[1].startswith("     what was seen")
    assert "     fix: repair it" in plain
    assert max(map(len, plain)) <= 40


def test_colours_say_how_bad_it_is_unless_they_are_not_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    coloured = "\n".join(drawn(monkeypatch, 80))
    assert "\x1b[32mok" in coloured
    assert "\x1b[1;31mFAIL" in coloured
    assert "\x1b[1;33mWARN" in coloured
    assert "\x1b[32m" not in "\n".join(drawn(monkeypatch, 80, no_color=True))


def test_in_a_pipe_a_line_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    report = FindingsReport(as_json=False)
    report.add(warning("first", LONG * 3, LONG * 3))
    report.close(ok("end", "all of it"))
    out = capsys.readouterr().out
    assert out.splitlines() == [
        f"WARN  first                {LONG * 3}",
        f"{'':27}fix: {LONG * 3}",
        "",
        "ok    end                  all of it",
    ]


def test_programs_get_one_document_at_the_end(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert drawn(monkeypatch, 80, as_json=True) == []
    shown = json.loads(capsys.readouterr().out)
    assert shown["ok"] is False
    assert shown["findings"][1] == {
        "name": "second", "verdict": "failed", "detail": "\x1b[2Jhostile", "fix": "repair it",
    }  # fmt: skip


def test_only_failures_make_a_command_fail() -> None:
    report = FindingsReport(as_json=True)
    report.add(warning("a", "b", "c"))
    report.add(skipped("a", "b"))
    assert report.exit_code == 0
    report.add(failed("a", "b", "c"))
    assert report.exit_code == 1


@pytest.mark.parametrize(
    ("lasts_sec", "shown"), [(None, "asking Redis 0 s"), (60.0, "asking Redis 0 of 60 s")]
)
def test_a_long_check_says_so_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, lasts_sec: float | None, shown: str
) -> None:
    monkeypatch.setattr(progress, "_PATIENCE_SEC", -1)
    file = io.StringIO()
    with patience("asking Redis", Console(file=file, force_terminal=True, width=80), lasts_sec):
        pass
    assert shown in _without_escapes(file.getvalue())
    assert file.getvalue().endswith("\x1b[?25h")


def test_a_quick_check_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_PATIENCE_SEC", 60)
    file = io.StringIO()
    with patience("asking Redis", Console(file=file, force_terminal=True, width=80)):
        pass
    assert "asking" not in file.getvalue()
    nowhere = io.StringIO()
    monkeypatch.setattr(progress, "_PATIENCE_SEC", -1)
    with patience("asking Redis", Console(file=nowhere)):
        pass
    assert nowhere.getvalue() == ""


def _without_escapes(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
