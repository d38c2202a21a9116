"""The hint to the reconcile engine that ledgers have moved."""

from __future__ import annotations

import trio

from tests.actors.ledger_rig import LedgerRig
from tests.virtual_time import virtual_time

pytestmark = virtual_time


async def test_the_reconcile_engine_is_given_each_ledger_that_moves_and_no_other(rig: LedgerRig) -> None:
    assert rig.moved_ledgers is not None
    assert sorted(await rig.moved_ledgers.receive_all()) == ["BTCUSDT", "ETHUSDT"]
    rig.execute("BTCUSDT", "1", "BUY", "1")
    await trio.sleep(1)
    assert await rig.moved_ledgers.receive_all() == ["BTCUSDT"]
    rig.redis.hset(rig.keys.ledger("ETHUSDT"), {"last_known_amt": "5"})
    await trio.sleep(30)
    assert await rig.moved_ledgers.receive_all() == ["ETHUSDT"]
    await trio.sleep(30)
    assert rig.moved_ledgers.depth == 0
