"""The dry run beside played executors: it publishes what it would do of each plan, and does nothing."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from store.keys import ExecutorKeys
from tests.simulation.verdicts import require

if TYPE_CHECKING:
    from tests.simulation.world import World

_MOST = 10_000


class DryRun:
    """Judges what the dry run has published."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._own = ExecutorKeys(world.keys)
        #: Entries of plans up to here were judged at an earlier rest.
        self._judged = 0

    def all_is_over(self) -> None:
        """Raises ViolationError unless each entry that was read has a line. After a long quiet."""
        world, books = self._world, self._world.books
        pending = world.redis.xpending(world.keys.plans, self._own.dry_runs.group)
        require(not pending, "e7", f"dry run: not acknowledged {list(pending.items())[:5]}")
        lines = self._lines()
        entries = list(books.plan_of_entry.items())
        published = Counter(books.plan_of_entry.values())
        for entry_id, plan_id in entries[self._judged :]:
            if plan_id in books.lost or not world.in_stream(world.keys.plans, entry_id):
                continue
            count = lines[plan_id]
            require(1 <= count <= published[plan_id], "e7", f"dry run: {plan_id} has {count} lines")
        self._judged = len(entries)

    def _lines(self) -> Counter[str]:
        """Return how many lines there are of each plan."""
        stream = self._world.redis.keyspace.make_stream(self._own.dry_run)
        lines = Counter[str]()
        for line in stream.behind((0, 0), _MOST):
            fields = {name.decode(): value.decode() for name, value in (stream.get(line) or {}).items()}
            plan_id = fields["plan_id"]
            lines[plan_id] += 1
            require(fields["executed"] == "false", "e2", f"dry run: {plan_id} is executed")
            allowed = plan_id in self._world.books.ever_allowed
            require(
                fields["would_execute"] == "false" or allowed,
                "e3",
                f"dry run: {plan_id} would be executed, and was never allowed",
            )
        return lines
