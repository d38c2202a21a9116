"""Report of a replay: the result in one line, then the counts, then examples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from commands.console.terminal import printable
from commands.replay.subject import Answer, ReplayedRecord, Subject
from commands.replay.tally import ReplayTally
from explanation.compared_numbers import in_words


def replay_view(
    tally: ReplayTally, subject: Subject, where: str, changes: Sequence[str], export: Path | None
) -> RenderableType:
    """Return the report. `where` is the source of the records, `changes` the settings as given."""
    return Group(*_lines(tally, subject, where, changes, export))


def _lines(
    tally: ReplayTally, subject: Subject, where: str, changes: Sequence[str], export: Path | None
) -> Iterator[RenderableType]:
    if tally.records == 0:
        yield Text(f"There are no recorded {subject.decisions} in {printable(where)}.", style="yellow")
        return
    yield _verdict(tally, subject, changes)
    if tally.answers:
        yield Text()
        yield Padding(_table(tally, subject), (0, 0, 0, 2))
    if tally.examples:
        yield Text("\nExamples (`explain PLAN_ID` shows all)", style="bold")
        for example in tally.examples:
            yield Padding(_example(example, subject), (0, 0, 0, 2))
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
            f"Each of the {subject.decisions} was replayed on what it was based on. Those after it would "
            f"have found other {subject.unknowable}, which a replay cannot know.",
            style="dim",
        )


def _verdict(tally: ReplayTally, subject: Subject, changes: Sequence[str]) -> Text:
    share = f"{tally.differing} of {tally.replayed} {subject.decisions}"
    if tally.replayed == 0:
        return Text("None of the records can be decided again.", style="yellow")
    if changes:
        text = f"With {' '.join(map(printable, changes))}, {share} would have had another answer."
        return Text(text, style="bold yellow" if tally.differing else "bold green")
    if tally.differing:
        return Text(f"NOT IDENTICAL: {share} differ.", style="bold red")
    return Text(f"Identical: {tally.replayed} {subject.decisions}, each the same again.", style="bold green")


def _table(tally: ReplayTally, subject: Subject) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    table.add_column("recorded")
    table.add_column("now")
    table.add_column(subject.decisions, justify="right")
    for (before, after), count in tally.answers.most_common():
        table.add_row(_answer(before, subject), _answer(after, subject), str(count))
    return table


def _example(replayed: ReplayedRecord, subject: Subject) -> Text:
    line = Text(printable(f"{replayed.name} {replayed.symbol or ''}  "), style="bold")
    before, after = _answer(replayed.before, subject), _answer(replayed.after, subject)
    line.append_text(before).append(" → ").append_text(after)
    for name, recorded, decided in replayed.again.differences():
        if name not in ("allow", "granted", "reason"):
            line.append(f"\n  {printable(name)}: ", style="cyan")
            line.append(printable(f"{_value_text(recorded)} → {_value_text(decided)}"))
    return line


def _answer(answer: Answer, subject: Subject) -> Text:
    if answer.allow:
        return Text(f"{subject.allow} {answer.reason}", style="green")
    return Text(f"{subject.deny} {answer.reason}", style="red")


def _value_text(value: object) -> str:
    """Return a value as its record has it; the compared numbers of a refusal in words."""
    return (in_words(value) or "-") if isinstance(value, dict) else msgspec.json.encode(value).decode()
