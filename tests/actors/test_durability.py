from __future__ import annotations

from actors.durability import Durability
from tests.actors.status_rig import StatusRig


async def test_the_answer_is_remembered_for_a_while_and_silence_more_shortly() -> None:
    rig = StatusRig()
    durability = Durability(rig.store, rig.clock)
    with rig.store.faults.outage():
        assert await durability.now() is None
    assert await durability.now() is None
    rig.clock.advance(3)
    assert await durability.now() is True
    rig.redis.append_only = False
    rig.clock.advance(29)
    assert await durability.now() is True
    rig.clock.advance(1)
    assert await durability.now() is False
    rig.clock.advance(30)
    with rig.store.faults.outage():
        assert await durability.now() is None
