"""The supervision tree as `/status` sees it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from supervision import NodeStatus


class RunningTree(Protocol):
    """Source of the tree's state: `supervision.Tree`."""

    def status(self) -> NodeStatus: ...

    def waiting(self) -> list[tuple[str, str]]: ...


def nodes_of(node: NodeStatus) -> Iterator[NodeStatus]:
    """Yield a node and all below it."""
    yield node
    for child in node.children:
        yield from nodes_of(child)
