"""How commands print for people."""

from __future__ import annotations

from rich.console import Console, RenderableType

_WIDTH_OF_A_FILE = 140


def show(content: RenderableType) -> None:
    """Print to standard output: in colours on a terminal; elsewhere plain lines without trailing spaces."""
    console = Console(highlight=False, emoji=False, markup=False)
    if console.is_terminal:
        console.print(content)
        return
    console.width = _WIDTH_OF_A_FILE
    with console.capture() as captured:
        console.print(content)
    for line in captured.get().splitlines():
        print(line.rstrip())


def printable(text: str) -> str:
    """Text from outside, with whatever a terminal would obey escaped."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
