"""How commands print for people."""

from __future__ import annotations

from rich.console import Console, RenderableType

from explanation.printable import printable

__all__ = ["printable", "screen", "show", "show_on"]

_WIDTH_OF_A_FILE = 140


def show(content: RenderableType) -> None:
    """Print to standard output: in colours on a terminal; elsewhere plain lines without trailing spaces."""
    show_on(screen(), content)


def screen() -> Console:
    """Standard output, as rich knows it: `NO_COLOR` is obeyed, and nothing in a text is taken for markup."""
    return Console(highlight=False, emoji=False, markup=False)


def show_on(console: Console, content: RenderableType) -> None:
    """As `show`, on a console that is kept for several prints."""
    if console.is_terminal:
        console.print(content)
        return
    console.width = _WIDTH_OF_A_FILE
    with console.capture() as captured:
        console.print(content)
    for line in captured.get().splitlines():
        print(line.rstrip())
