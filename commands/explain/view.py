"""An explanation on a terminal: the answer, why, what was checked and on what, the permit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from brain.plans.check_results import Outcome
from explanation.printable import printable
from explanation.sections import CheckRow, GovernorSection, Row, Sections
from explanation.timeline import Happening, duration_ms

_STYLES = {Outcome.PASSED: "green", Outcome.DENIED: "bold red", Outcome.SKIPPED: "dim"}


def explanation_view(explained: Sections) -> RenderableType:
    """Return the explanation in sections; empty ones are left out."""
    return Group(*_sections(explained))


def _sections(explained: Sections) -> Iterator[RenderableType]:
    yield _headline(explained)
    yield indented(Text(explained.finding))
    if explained.advice:
        yield indented(Text(explained.advice, style="dim"))
    for note in explained.notes:
        yield indented(Text(note, style="yellow"))
    if explained.chain:
        yield section("The chain", rows(explained.chain))
    yield section("When", rows(explained.when))
    if explained.published:
        yield section("Plan, as published", rows(explained.published))
    if explained.checks:
        yield section("Checks, in order", _checks(explained.checks))
        if explained.not_reached:
            yield indented(Text(f"not reached: {', '.join(explained.not_reached)}", style="dim"))
    if explained.based_on:
        yield section("What they were based on", rows(explained.based_on))
    yield section("Permit", rows(explained.permit))
    if explained.governor is not None:
        yield from _governor(explained.governor)
    if explained.timeline:
        yield section("Time line", Group(timeline(explained.timeline), rows(explained.execution)))


def _governor(governor: GovernorSection) -> Iterator[RenderableType]:
    style = "bold green" if governor.granted else "bold red" if governor.answer else "bold yellow"
    line = Text("Governor", style="bold")
    if governor.answer:
        line.append(f"  {governor.answer} {governor.reason}", style=style)
    yield Group(Text(), line, indented(Text(governor.finding)))
    if governor.advice:
        yield indented(Text(governor.advice, style="dim"))
    for note in governor.notes:
        yield indented(Text(note, style="yellow"))
    yield indented(rows(governor.facts))
    if governor.checks:
        yield section("Its checks, in order", _checks(governor.checks))
        if governor.not_reached:
            yield indented(Text(f"not reached: {', '.join(governor.not_reached)}", style="dim"))


def _headline(explained: Sections) -> Text:
    line = Text()
    line.append(f"Plan {explained.plan_id}", style="bold")
    if explained.symbol:
        line.append(f"  {explained.symbol}", style="bold")
    if not explained.decided:
        return line.append(f"  {explained.answer}", style="bold yellow")
    style = "bold green" if explained.allowed else "bold red"
    line.append(f"  {explained.answer} ", style=style).append(explained.reason, style=style)
    if explained.order:
        line.append(f"  {explained.order}", style="bold")
    return line


def _checks(checks: Sequence[CheckRow]) -> Table:
    table = _grid()
    table.add_column()
    for check in checks:
        style = _STYLES[check.result]
        compared = Text(check.compared, style="dim" if style == "dim" else "")
        if check.reason:
            compared.append(f"  → {check.reason}", style=style)
        name = Text(check.name, style="bold red" if check.reason else "")
        table.add_row(name, Text(check.outcome, style), compared)
    return table


def section(title: str, content: RenderableType) -> RenderableType:
    """Return a section with its title."""
    return Group(Text(), Text(title, style="bold"), Padding(content, (0, 0, 0, 2)))


def rows(named: Iterable[Row]) -> Table:
    """Return names and values as a table of two columns."""
    table = _grid()
    for name, value in named:
        table.add_row(Text(name, style="cyan"), Text(value))
    return table


def timeline(happened: Iterable[Happening]) -> Table:
    """Return the lines, each with the time since the one before."""
    table = _grid()
    table.add_column()
    for each in happened:
        after = "" if each.after_ms is None else f"+{duration_ms(each.after_ms)}"
        table.add_row(
            Text(each.at, style="cyan"), Text(after, style="dim", justify="right"), Text(printable(each.what))
        )
    return table


def _grid() -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, max_width=24)
    table.add_column(overflow="fold")
    return table


def indented(content: RenderableType) -> RenderableType:
    """Return the content below a title."""
    return Padding(content, (0, 0, 0, 2))
