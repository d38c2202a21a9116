"""Report of a replay: the result in one line, then the counts, then examples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from brain.decisions.replaying import Replayed
from commands.console.terminal import printable
from commands.replay.tally import Answer, ReplayTally, answer_of
from explanation.compared_numbers import in_words


def replay_view(
    tally: ReplayTally, where: str, changes: Sequence[str], export: Path | None
) -> RenderableType:
    """Return the report. `where` is the source of the records, `changes` the settings as given."""
    return Group(*_lines(tally, where, changes, export))


def _lines(
    tally: ReplayTally, where: str, changes: Sequence[str], export: Path | None
) -> Iterator[RenderableType]:
    if tally.records == 0:
        yield Text(f"There are no recorded decisions in {printable(where)}.", style="yellow")
        return
    yield _verdict(tally, changes)
    if tally.answers:
        yield Text()
        yield Padding(_table(tally), (0, 0, 0, 2))
    if tally.examples:
        yield Text("\nExamples (`explain PLAN_ID` shows all)", style="bold")
        for example in tally.examples:
            yield Padding(_example(example), (0, 0, 0, 2))
    yield Text()
    yield Text(f"{tally.records} records of {printable(where)}", style="dim")
    for reason, count in tally.not_replayable.most_common():
        yield Text(f"{count} not decided on a case, so not replayed: {reason}", style="dim")
    if tally.unreadable:
        yield Text(
            f"{tally.unreadable} could not be read, first {printable(tally.first_unreadable or '')}",
            style="red",
        )
    if export is not None:
        yield Text(f"Written to {printable(str(export))}", style="dim")
    if changes and tally.differing:
        yield Text(
            "Each decision was replayed on what it was based on. Decisions after it would have found other "
            "open permits, cooldowns and positions, which a replay cannot know.",
            style="dim",
        )


def _verdict(tally: ReplayTally, changes: Sequence[str]) -> Text:
    share = f"{tally.differing} of {tally.replayed} decisions"
    if tally.replayed == 0:
        return Text("None of the records can be decided again.", style="yellow")
    if changes:
        text = f"With {' '.join(map(printable, changes))}, {share} would have had another answer."
        return Text(text, style="bold yellow" if tally.differing else "bold green")
    if tally.differing:
        return Text(f"NOT IDENTICAL: {share} differ.", style="bold red")
    return Text(f"Identical: {tally.replayed} decisions, each the same again.", style="bold green")


def _table(tally: ReplayTally) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    table.add_column("recorded")
    table.add_column("now")
    table.add_column("decisions", justify="right")
    for (before, after), count in tally.answers.most_common():
        table.add_row(_answer(before), _answer(after), str(count))
    return table


def _example(replayed: Replayed) -> Text:
    audit, before, after = replayed.audit, answer_of(replayed.recorded), answer_of(replayed.decided)
    line = Text(printable(f"{audit.plan_id} {audit.symbol or ''}  "), style="bold")
    line.append_text(_answer(before)).append(" → ").append_text(_answer(after))
    for name, recorded, decided in replayed.differences():
        if name not in ("allow", "reason"):
            line.append(f"\n  {printable(name)}: ", style="cyan")
            line.append(printable(f"{_value_text(recorded)} → {_value_text(decided)}"))
    return line


def _answer(answer: Answer) -> Text:
    if answer.allow:
        return Text(f"ALLOW {answer.reason}", style="green")
    return Text(f"DENY {answer.reason}", style="red")


def _value_text(value: object) -> str:
    """Return a value as its record has it; the compared numbers of a deny in words."""
    return (in_words(value) or "-") if isinstance(value, dict) else msgspec.json.encode(value).decode()
