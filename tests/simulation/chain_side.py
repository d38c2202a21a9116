"""Those who begin and end the chain, together: intent bridge, decision intelligence, universe."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from store.bridge_records import IntentCommit
from store.intelligence_records import CountedResult
from tests.simulation.bridge_side import BridgeSide
from tests.simulation.intelligence_side import IntelligenceSide
from tests.simulation.universe_side import UniverseSide

if TYPE_CHECKING:
    from tests.simulation.world import World

T = TypeVar("T")


class ChainSide:
    """There is one in every world."""

    def __init__(self, world: World) -> None:
        self.universe = UniverseSide(world)
        self.bridge = BridgeSide(world)
        self.intelligence = IntelligenceSide(world)

    def answered(self, writer: str, lane: str, answers: Sequence[IntentCommit], effect: Callable[[], T]) -> T:
        """Judge answers to intents."""
        return self.bridge.judge.answered(writer, lane, answers, effect)

    def counted(self, writer: str, results: Sequence[CountedResult], effect: Callable[[], Any]) -> Any:
        """Judge a count of results."""
        return self.intelligence.counted(writer, results, effect)

    def windowed(self, writer: str, effect: Callable[[], T]) -> T:
        """Judge windows over results."""
        return self.intelligence.windowed(writer, effect)

    def listed(self, writer: str, effect: Callable[[], T]) -> T:
        """Judge a publication of the universe."""
        return self.universe.listed(writer, effect)

    def evicted(self, keys: Sequence[str]) -> None:
        """Note which marks Redis has no more."""
        seen = self.bridge.names.seen("")
        self.bridge.unmarked.update(key for key in keys if key.startswith(seen))

    def all_is_over(self) -> None:
        """Raises ViolationError unless all results are counted and all symbols listed. After a long quiet."""
        self.bridge.all_is_answered()
        self.intelligence.all_is_over()
        self.universe.all_is_over()

    def counts(self) -> dict[str, int]:
        """Return the numbers of events, where there were any."""
        return {**self.bridge.counts(), **self.intelligence.counts(), **self.universe.counts()}
