from __future__ import annotations

from collections.abc import Iterator
from io import StringIO

import pytest
from rich.console import Console

from commands.console import progress
from commands.console.progress import with_progress


def shown(*, terminal: bool, patience_sec: float, monkeypatch: pytest.MonkeyPatch) -> tuple[list[int], str]:
    """Return the items that came through, and the text that was drawn."""
    monkeypatch.setattr(progress, "_PATIENCE_SEC", patience_sec)
    file = StringIO()
    console = Console(file=file, force_terminal=terminal, width=100)
    return list(with_progress(range(200), "Replaying", 200, console)), file.getvalue()


def test_long_work_shows_a_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    things, drawn = shown(terminal=True, patience_sec=-1, monkeypatch=monkeypatch)
    assert things == list(range(200))
    assert "Replaying" in drawn and "/200" in drawn


def test_quick_work_shows_no_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    assert shown(terminal=True, patience_sec=60, monkeypatch=monkeypatch) == (list(range(200)), "")


def test_nothing_is_drawn_where_there_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    assert shown(terminal=False, patience_sec=-1, monkeypatch=monkeypatch) == (list(range(200)), "")


def test_the_bar_is_taken_away_when_it_ends_early(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_PATIENCE_SEC", -1)

    def broken() -> Iterator[int]:
        yield from range(100)
        raise OSError("gone")

    file = StringIO()
    with pytest.raises(OSError, match="gone"):
        list(with_progress(broken(), "Replaying", None, Console(file=file, force_terminal=True)))
    assert file.getvalue().endswith(("\x1b[2K", "\x1b[?25h", "\r\x1b[2K\x1b[?25h", "\x1b[1A\x1b[2K"))
