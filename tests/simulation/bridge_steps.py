"""The judges of the steps of bridge, intelligence and universe, and those steps in one process's store."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol, TypeVar

from brain.identifiers import FencingToken
from brain.intents.intent import Lane
from store.bridge_records import BridgeReply, IntentCommit
from store.intelligence_records import CountedResult, WindowWrite
from store.memory.store import MemoryStore
from store.universe_records import UniverseWrite

T = TypeVar("T")

#: Steps that need the lease.
CHAIN_FENCED = (
    "answer_intents", "count_results", "write_windows", "publish_universe", "write_minute",
    *(
        f"{group}.{step}"
        for group in ("trade_intents", "exit_intents", "harvest_intents", "counted_results")
        for step in ("recover", "acknowledge", "dead_letter")
    ),
)  # fmt: skip


class ChainSteps(Protocol):
    """Receiver of the effects of those three, which it brings about. Raises AssertionError."""

    def answered(
        self, writer: str, lane: str, answers: Sequence[IntentCommit], effect: Callable[[], T]
    ) -> T: ...

    def counted(self, writer: str, results: Sequence[CountedResult], effect: Callable[[], T]) -> T: ...

    def windowed(self, writer: str, effect: Callable[[], T]) -> T: ...

    def listed(self, writer: str, effect: Callable[[], T]) -> T: ...


class WatchedChain(MemoryStore):
    """Has each step judged: `_judged` is taken up by the call that follows at once."""

    _name: str
    _chain: ChainSteps
    _judged: Callable[[Callable[[], Any]], Any] | None
    _fence: FencingToken | None

    async def answer_intents(
        self, fence: FencingToken, lane: Lane, answers: Sequence[IntentCommit]
    ) -> BridgeReply:
        self._judged = partial(self._chain.answered, self._name, str(lane), answers)
        return await super().answer_intents(fence, lane, answers)

    async def count_results(self, fence: FencingToken, results: Sequence[CountedResult]) -> list[bool]:
        self._judged = partial(self._chain.counted, self._name, results)
        return await super().count_results(fence, results)

    async def write_windows(
        self,
        fence: FencingToken,
        windows: Sequence[WindowWrite],
        *,
        unknown: Sequence[tuple[str, int]],
        status: Mapping[str, str],
    ) -> int:
        self._judged = partial(self._chain.windowed, self._name)
        return await super().write_windows(fence, windows, unknown=unknown, status=status)

    async def publish_universe(
        self, fence: FencingToken, write: UniverseWrite, *, rests_on: bytes | None, shadow: bool
    ) -> bool:
        self._fence, self._judged = fence, partial(self._chain.listed, self._name)
        return await super().publish_universe(fence, write, rests_on=rests_on, shadow=shadow)
