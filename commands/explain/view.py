"""An explanation on a terminal: the answer, why, what was checked and on what, the permit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from brain.plans.check_results import Outcome
from explanation.sections import CheckRow, GovernorSection, Row, Sections

_STYLES = {Outcome.PASSED: "green", Outcome.DENIED: "bold red", Outcome.SKIPPED: "dim"}


def explanation_view(explained: Sections) -> RenderableType:
    """Return the explanation in sections; empty ones are left out."""
    return Group(*_sections(explained))


def _sections(explained: Sections) -> Iterator[RenderableType]:
    yield _headline(explained)
    yield _indented(Text(explained.finding))
    if explained.advice:
        yield _indented(Text(explained.advice, style="dim"))
    for note in explained.notes:
        yield _indented(Text(note, style="yellow"))
    yield _section("When", _rows(explained.when))
    if explained.published:
        yield _section("Plan, as published", _rows(explained.published))
    if explained.checks:
        yield _section("Checks, in order", _checks(explained.checks))
        if explained.not_reached:
            yield _indented(Text(f"not reached: {', '.join(explained.not_reached)}", style="dim"))
    if explained.based_on:
        yield _section("What they were based on", _rows(explained.based_on))
    yield _section("Permit", _rows(explained.permit))
    if explained.governor is not None:
        yield from _governor(explained.governor)
    if explained.timeline:
        yield _section("Time line", _rows(explained.timeline))


def _governor(governor: GovernorSection) -> Iterator[RenderableType]:
    style = "bold green" if governor.granted else "bold red" if governor.answer else "bold yellow"
    line = Text("Governor", style="bold")
    if governor.answer:
        line.append(f"  {governor.answer} {governor.reason}", style=style)
    yield Group(Text(), line, _indented(Text(governor.finding)))
    if governor.advice:
        yield _indented(Text(governor.advice, style="dim"))
    for note in governor.notes:
        yield _indented(Text(note, style="yellow"))
    yield _indented(_rows(governor.facts))
    if governor.checks:
        yield _section("Its checks, in order", _checks(governor.checks))
        if governor.not_reached:
            yield _indented(Text(f"not reached: {', '.join(governor.not_reached)}", style="dim"))


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


def _section(title: str, content: RenderableType) -> RenderableType:
    return Group(Text(), Text(title, style="bold"), Padding(content, (0, 0, 0, 2)))


def _rows(rows: Sequence[Row]) -> Table:
    table = _grid()
    for name, value in rows:
        table.add_row(Text(name, style="cyan"), Text(value))
    return table


def _grid() -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, max_width=24)
    table.add_column(overflow="fold")
    return table


def _indented(content: RenderableType) -> RenderableType:
    return Padding(content, (0, 0, 0, 2))
