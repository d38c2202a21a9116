"""Report of a comparison: agreement in one line, kinds of differences, each difference, the unknown."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from commands.compare.words import Words
from commands.console.terminal import printable
from explanation.comparison import Basis, Comparison, Pair, Side

_MOST_SHOWN = 50


def comparison_view(comparison: Comparison, words: Words, where: str) -> RenderableType:
    """Return the report. `where` is the Redis of both, in words."""
    return Group(*_lines(comparison, words, where))


def _lines(comparison: Comparison, words: Words, where: str) -> Iterator[RenderableType]:
    if not comparison.decisions:
        yield Text(f"There are no {words.decisions} to compare in {printable(where)}.", style="yellow")
        for note in comparison.notes:
            yield Text(printable(note), style="dim")
        return
    yield _verdict(comparison, words)
    if comparison.kinds:
        yield Text()
        yield Padding(_kinds(comparison, words), (0, 0, 0, 2))
        yield Text("\nDifferences, newest first", style="bold")
        for pair in comparison.differences[:_MOST_SHOWN]:
            yield Padding(_difference(pair, words), (0, 0, 0, 2))
        more = len(comparison.differences) - _MOST_SHOWN
        if more > 0:
            yield Padding(Text(f"and {more} more, which --json has", style="dim"), (0, 0, 0, 2))
    yield Text()
    yield Text(f"{comparison.decisions} {words.decisions} of {printable(where)}", style="dim")
    for why, number in comparison.unknown.items():
        yield Text(f"{number} not compared: {printable(why)}", style="dim")
    for note in comparison.notes:
        yield Text(printable(note), style="dim")


def _verdict(comparison: Comparison, words: Words) -> Text:
    if comparison.agreement_pct is None:
        return Text(f"None of the {words.decisions} can be compared.", style="yellow")
    agreed, differ = sum(comparison.agree.values()), sum(comparison.differ.values())
    style = "bold red" if differ else "bold green"
    text = Text(
        f"{comparison.agreement_pct:g} % of {comparison.compared} {words.decisions} agree: {agreed} agree, "
        f"{differ} differ",
        style=style,
    )
    absent = comparison.agree[Basis.ABSENCE], comparison.differ[Basis.ABSENCE]
    if any(absent):
        text.append(f" ({absent[0]} and {absent[1]} of these by the absence of a trace)", style="dim")
    return text.append(".", style=style)


def _kinds(comparison: Comparison, words: Words) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for name in ("ours", "theirs"):
        table.add_column(name)
    table.add_column(words.decisions, justify="right")
    for kind in comparison.kinds:
        table.add_row(_answer(kind.ours, words), _answer(kind.theirs, words), str(kind.decisions))
    return table


def _difference(pair: Pair, words: Words) -> Text:
    line = Text(f"{pair.at}  ", style="cyan").append(printable(f"{pair.id} {pair.symbol}  "), style="bold")
    line.append_text(_answer(pair.ours, words)).append(" ≠ ")
    if pair.theirs.side is not None:
        line.append_text(_answer(pair.theirs.side, words))
    line.append(f"  ({printable(pair.theirs.seen_in)})", style="dim")
    return line.append(f"  {printable(pair.note)}") if pair.note else line


def _answer(side: Side, words: Words) -> Text:
    said = words.yes if side.yes else words.no
    return Text(printable(f"{said} {side.reason}".strip()), style="green" if side.yes else "red")
