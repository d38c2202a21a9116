"""An intent on a terminal: what the bridge made of it, the intent, what it was judged on, the time line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rich.console import Group, RenderableType
from rich.text import Text

from commands.explain.view import indented, rows, section, timeline
from explanation.intents import Intention
from explanation.printable import printable


def intent_view(explained: Intention) -> RenderableType:
    """Return the intent in sections; empty ones are left out."""
    return Group(*_sections(explained))


def _sections(explained: Intention) -> Iterator[RenderableType]:
    line = Text(f"Intent {printable(explained.intent_id or explained.entry_id)}", style="bold")
    if explained.symbol:
        line.append(f"  {printable(explained.symbol)}", style="bold")
    if explained.outcome:
        is_plan = explained.outcome == "plan"
        said = "PLAN" if is_plan else f"REFUSED {printable(explained.reason)}"
        line.append(f"  {said}", style="bold green" if is_plan else "bold red")
    yield line
    yield indented(Text(printable(explained.finding)))
    if explained.candidates:
        plans = ", ".join(map(printable, explained.candidates))
        yield indented(Text(f"Plans of its symbol that were published within 5 s: {plans}", style="yellow"))
    where = {"stream": explained.stream, "entry": explained.entry_id}
    yield section("Intent, as published", _rows((where | explained.fields).items()))
    if explained.based_on:
        yield section("What the bridge recorded", _rows(explained.based_on.items()))
    if bytes(explained.record) != b"null":
        yield section("Its complete input and outcome", Text(printable(bytes(explained.record).decode())))
    yield section("Time line", timeline(explained.timeline))


def _rows(named: Iterable[tuple[str, str]]) -> RenderableType:
    return rows((printable(name), printable(value)) for name, value in named)
