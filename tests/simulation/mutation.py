"""A bug written into the service on purpose: edits of its files, and the guarantees that it breaks."""

from __future__ import annotations

from pathlib import Path

import msgspec

from tests.simulation.chain_scene import BridgeMode

#: A judge's words on an actor that no fault made fail.
FAILED_BY_ITSELF = "failed by itself"


class StaleMutationError(Exception):
    """The text that a mutation replaces is not there, or more than once: the code has moved on."""


class Edit(msgspec.Struct, frozen=True):
    """One replacement in one file, of text that occurs there once."""

    path: str
    old: str
    new: str


class Mutation(msgspec.Struct, frozen=True):
    """A bug that a developer might write.

    `breaks`: the guarantees of which one may be seen broken first. `by_itself`: what is seen is an actor that
    fails; of all others, that would only show that the mutation no longer fits. `executor`: a bug of the
    service's own executor, which sends the orders in the search for it, and in no other. `governor`: one of
    its Governor, which judges in the search for it alone; who sends the orders there, the seed decides.
    `reconcile`: one of its reconcile engine, alike. `bridge`: one of its intent bridge, or of that in the
    shadow; `intelligence`: of its counts of results.
    """

    name: str
    breaks: tuple[str, ...]
    edits: tuple[Edit, ...]
    by_itself: bool = False
    executor: bool = False
    governor: bool = False
    reconcile: bool = False
    bridge: BridgeMode = "off"
    intelligence: bool = False

    def is_seen_in(self, invariant: str | None, violation: str | None) -> bool:
        """Return whether a search that ended so has found this bug, and no other."""
        return invariant in self.breaks and (FAILED_BY_ITSELF in (violation or "")) is self.by_itself

    def apply_to(self, tree: Path) -> None:
        """Write it into a copy of the tree. Raises StaleMutationError."""
        for edit in self.edits:
            file = tree / edit.path
            text = file.read_text()
            if text.count(edit.old) != 1:
                raise StaleMutationError(
                    f"{self.name}: {edit.path} has {text.count(edit.old)} of {edit.old!r}"
                )
            file.write_text(text.replace(edit.old, edit.new))
