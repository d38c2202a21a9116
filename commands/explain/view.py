"""An explanation on a terminal: the answer, why, what was checked and on what, the permit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from brain.decisions.decision import Outcome
from explanation.telling import CheckTold, Row, Told

_STYLES = {Outcome.PASSED: "green", Outcome.DENIED: "bold red", Outcome.SKIPPED: "dim"}


def explanation_view(told: Told) -> RenderableType:
    """Everything, in sections; empty ones are left out."""
    return Group(*_sections(told))


def _sections(told: Told) -> Iterator[RenderableType]:
    yield _headline(told)
    yield _indented(Text(told.finding))
    if told.advice:
        yield _indented(Text(told.advice, style="dim"))
    for note in told.notes:
        yield _indented(Text(note, style="yellow"))
    yield _section("When", _rows(told.when))
    if told.published:
        yield _section("Plan, as published", _rows(told.published))
    if told.checks:
        yield _section("Checks, in order", _checks(told.checks))
        if told.not_reached:
            yield _indented(Text(f"not reached: {', '.join(told.not_reached)}", style="dim"))
    if told.based_on:
        yield _section("What they were based on", _rows(told.based_on))
    yield _section("Permit", _rows(told.permit))


def _headline(told: Told) -> Text:
    line = Text()
    line.append(f"Plan {told.plan_id}", style="bold")
    if told.symbol:
        line.append(f"  {told.symbol}", style="bold")
    if not told.decided:
        return line.append(f"  {told.answer}", style="bold yellow")
    style = "bold green" if told.allowed else "bold red"
    line.append(f"  {told.answer} ", style=style).append(told.reason, style=style)
    if told.order:
        line.append(f"  {told.order}", style="bold")
    return line


def _checks(checks: Sequence[CheckTold]) -> Table:
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
