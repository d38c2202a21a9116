"""Judge of actors that fail: each failure must have been injected."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING

import trio

from brain.error_groups import each_error
from supervision import RestartIntensityExceeded, Stalled
from tests.simulation.mutation import FAILED_BY_ITSELF
from tests.simulation.tripwire import SabotageError
from tests.simulation.verdicts import ViolationError

if TYPE_CHECKING:
    from tests.simulation.world import World

_NOTICED_SEC = 2.0  # a stall is noticed within its limit and a look
#: An actor may make no progress for so long. Here a message waits for as long as its way is cut off, where
#: the service's own would give up: two cuts in a row can be longer than that.
_LIMIT_SEC = 10.0


class ActorFailures:
    """Counts by type, and ends the run at the first that no fault made."""

    def __init__(self, world: World) -> None:
        self.counts: dict[str, int] = {}
        self._world = world

    def failed(self, who: str, failure: Exception) -> None:
        """Judge an actor's failure: it may be injected, and must not be the actor's own."""
        leaves = each_error(failure)
        for leaf in leaves:
            if isinstance(leaf, ViolationError):
                self._world.fail(leaf)
            self.counts[type(leaf).__name__] = self.counts.get(type(leaf).__name__, 0) + 1
        if not all(self._was_made_to(leaf, who) for leaf in leaves):
            where = traceback.format_exception(failure)
            what = f"{who} {FAILED_BY_ITSELF}: {failure!r}\n{''.join(where)}"
            self._world.fail(ViolationError("f", what))

    def _was_made_to(self, failure: BaseException, who: str) -> bool:
        if isinstance(failure, Stalled):
            process = self._world.processes[who.partition(":")[0]]
            if process.reach.cut_within(_LIMIT_SEC + _NOTICED_SEC) >= _LIMIT_SEC - _NOTICED_SEC:
                return True
            store = process.store
            return store is not None and trio.current_time() <= store.hung_until_sec + _NOTICED_SEC
        return isinstance(failure, SabotageError | RestartIntensityExceeded)
