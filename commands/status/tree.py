"""The supervision tree on a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from commands.console.terminal import printable
from commands.status.document import Node
from page.words import duration

#: The exchange answers sooner.
_SHORT_WAIT_SEC = 3.0
_STYLES = {
    "running": "green",
    "starting": "cyan",
    "waiting": "yellow",
    "backing_off": "bold red",
    "stopping": "cyan",
    "stopped": "bold red",
}


def tree_view(root: Node, *, narrow: bool, short: bool = False) -> RenderableType:
    """Each supervisor and actor on a line. `narrow`: what is said of it stands below it.

    `short`: those that are well and never failed are only counted.
    """
    nodes = [*_below(root, 0)]
    restarts = sum(node.restarts for node, _ in nodes)
    title = Text("Supervision tree", "bold")
    title.append(f"  {_counted(restarts, 'restart')}", "bold red" if restarts else "dim")
    shown = [(node, depth) for node, depth in nodes if not (short and _is_well(node))]
    parts: list[RenderableType] = [title, _narrow(shown) if narrow else _beside(shown)]
    if short:
        well = sum(not node.children for node, _ in nodes if _is_well(node))
        parts.append(Text(f"{_counted(well, 'actor')} well, never restarted", "green"))
    return Group(*parts)


def _is_well(node: Node) -> bool:
    """It never failed, and what it waits for (an answer of the exchange, mostly) does not keep it long."""
    waits_long = node.since_sec is None or node.since_sec > _SHORT_WAIT_SEC
    return not node.restarts and (node.state == "running" or (node.state == "waiting" and not waits_long))


def _beside(nodes: Sequence[tuple[Node, int]]) -> RenderableType:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for node, depth in nodes:
        table.add_row(_name(node, depth), _state(node))
    return table


def _narrow(nodes: Sequence[tuple[Node, int]]) -> RenderableType:
    lines: list[RenderableType] = []
    for node, depth in nodes:
        lines += [_name(node, depth), Padding(_state(node), (0, 0, 0, 2 * depth + 2))]
    return Group(*lines)


def _name(node: Node, depth: int) -> Text:
    return Text("  " * depth).append(printable(node.name), "bold" if node.children else "")


def _state(node: Node) -> Text:
    return Text(node.state.replace("_", " "), _STYLES.get(node.state, "")).append_text(_aside(node))


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _aside(node: Node) -> Text:
    told = Text()
    if node.waiting_for:
        told.append(f" for {', '.join(map(printable, node.waiting_for))}", "yellow")
    if node.since_sec is not None:
        told.append(f" {duration(node.since_sec)}", "dim")
    if node.restarts:
        told.append(f", {_counted(node.restarts, 'restart')}", "bold red")
        if node.last_reason:
            told.append(f": {printable(node.last_reason)}", "red")
    return told


def _below(node: Node, depth: int) -> Iterator[tuple[Node, int]]:
    for child in node.children:
        yield child, depth
        yield from _below(child, depth + 1)
