"""Calls of decision intelligence's store, for the tests that count every one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from brain.identifiers import EntryId, FencingToken
from store.execution_protocol import ServiceStore
from store.intelligence_keys import IntelligenceNames
from store.intelligence_records import CountedResult, WindowWrite
from tests.store.backends import KEYS, Backend

Call = Callable[[ServiceStore, FencingToken], Awaitable[object]]

NAMES = IntelligenceNames(KEYS.prefix)
#: Below every id that Redis gives.
FIRST = EntryId("1-0")
MINUTE = "202511292138"
BLOCKED = CountedResult(FIRST, MINUTE, "BLOCKED", "p33_permit_denied:no_position", "p33", "BTCUSDT")
WINDOW = WindowWrite(
    "5m",
    (("EXECUTE", 3), ("BLOCKED", 1)),
    (("none", 3), ("p33_permit_denied:no_position", 1)),
    (("p33:p33_permit_denied:no_position", 1),),
)
STATUS = {"service_start_ts": "1760000000", "consumer_name": "first"}


async def prepare_counts(backend: Backend) -> None:
    """Deliver one result, in an empty stream, to the group that counts."""
    group = backend.store.counted_results
    await group.create(lost=True)
    backend.outside.xadd(KEYS.results, {"plan_id": "plan-0"}, entry_id=FIRST)
    assert [entry.id for entry in await group.read_new(count=1, block_ms=0)] == [FIRST]
    backend.outside.hset(NAMES.decisions("1h"), {"EXECUTE": "1"})


async def count(store: ServiceStore, fence: FencingToken) -> object:
    """Count one result twice."""
    return [await store.count_results(fence, [BLOCKED, BLOCKED]) for _ in range(2)]


async def write(store: ServiceStore, fence: FencingToken) -> int:
    """Replace one window, and empty another."""
    return await store.write_windows(
        fence, [WINDOW, WindowWrite("1h", (), (), ())], unknown=[("HOLD", 2)], status=STATUS
    )


WRITES: dict[str, Call] = {
    "write_windows": write,
    "count_results": lambda store, fence: store.count_results(fence, [BLOCKED]),
}

EXAMPLES: dict[str, Call] = {
    "count_results": count,
    "write_windows": write,
    "intelligence_buckets": lambda store, _: store.intelligence_buckets([MINUTE, "202511292139"]),
}
