from __future__ import annotations

import pytest
import trio
import trio.testing

from monitoring.find.stream_search import Searched, StreamSearch
from store.memory.store import MemoryStore
from tests.monitoring.status_rig import StatusRig


def search(rig: StatusRig, crossings: list[str], *, silent: bool = False) -> StreamSearch:
    """A search that notes when it goes to Redis, and comes back."""

    async def crossing() -> None:
        crossings.append(trio.lowlevel.current_task().name)
        await trio.lowlevel.checkpoint()
        if silent:
            await trio.sleep_forever()

    return StreamSearch(MemoryStore(rig.redis, keys=rig.keys, consumer="here", crossing=crossing))


async def test_searches_go_to_redis_one_after_the_other(rig: StatusRig) -> None:
    for number in range(500):
        rig.redis.xadd("a", {"plan_id": f"plan-{number}"}, entry_id=f"{number + 1}-0")
    crossings: list[str] = []
    searching = search(rig, crossings)
    found: list[Searched] = []

    async def find(text: str) -> None:
        found.append(await searching.back("a", text, lambda fields: fields["plan_id"] == text))

    async with trio.open_nursery() as nursery:
        for number in range(5):
            nursery.start_soon(find, f"plan-{number}", name=f"{number}")
    assert [len(each.entries) for each in found] == [1] * 5
    turns = [name for name, before in zip(crossings, ["", *crossings], strict=False) if name != before]
    assert sorted(turns) == ["0", "1", "2", "3", "4"]


async def test_a_search_that_waits_too_long_for_others_says_so(
    rig: StatusRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monitoring.find.stream_search._TURN_SEC", 0.01)
    crossings: list[str] = []
    searching = search(rig, crossings, silent=True)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(searching.entry, "a", "1-0")
        nursery.start_soon(searching.back, "a", "plan-1", bool)
        await trio.testing.wait_all_tasks_blocked()
        found = await searching.back("a", "plan-2", bool)
        nursery.cancel_scope.cancel()
    assert found == Searched((), "a was not searched: other searches took 0.01 s")
