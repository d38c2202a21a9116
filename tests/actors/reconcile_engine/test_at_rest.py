"""Symbols at rest are compared in Redis alone, each cadence; what changes there or here is noticed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import pytest
import trio

from brain.positions.symbol_state import StreamProof
from store.reconcile_records import ComparedLedgers, ExpectedLedger
from tests.actors.reconcile_rig import ReconcileRig, running_engine
from tests.virtual_time import virtual_time

pytestmark = virtual_time

CHANGES: dict[str, tuple[Callable[[ReconcileRig], object], str]] = {
    "a person corrects the amount": (lambda rig: rig.ledger("BTCUSDT", "1"), "HOLD_SET"),
    "the ledger vanishes": (lambda rig: rig.redis.delete(rig.keys.ledger("BTCUSDT")), "DRIFT"),
    "redis lost the last writes": (lambda rig: rig.ledger("BTCUSDT", "3", version="0"), "HOLD_SET"),
    "the position moves": (lambda rig: rig.move("BTCUSDT", "-1"), "HOLD_SET"),
}


async def asked_at_rest(rig: ReconcileRig, monkeypatch: pytest.MonkeyPatch) -> list[ExpectedLedger]:
    """Let the engine come to rest; return the list of the ledgers that it asks for, as it grows."""
    asked: list[ExpectedLedger] = []
    differing_ledgers = rig.store.differing_ledgers

    async def ask(expected: Sequence[ExpectedLedger]) -> ComparedLedgers:
        asked.extend(expected)
        return await differing_ledgers(expected)

    await trio.sleep(60)
    monkeypatch.setattr(rig.store, "differing_ledgers", ask)
    return asked


@pytest.mark.parametrize("change", CHANGES)
async def test_a_change_is_noticed_at_the_next_cadence(rig: ReconcileRig, change: str) -> None:
    rig.agree("BTCUSDT", "2")
    async with running_engine(rig):
        await trio.sleep(60)
        assert rig.told("BTCUSDT") == []
        happens, event = CHANGES[change]
        happens(rig)
        # A cadence, and the 2 s for which it has to last.
        await trio.sleep(3.1)
        assert rig.told("BTCUSDT") == [event]


async def test_all_ledgers_are_compared_each_cadence(
    rig: ReconcileRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_engine(rig):
        asked = await asked_at_rest(rig, monkeypatch)
        await trio.sleep(10)
    counts = Counter(str(each.symbol) for each in asked)
    assert set(counts) == set(rig.symbols)
    assert all(9 <= count <= 11 for count in counts.values())


@pytest.mark.parametrize("doubt", ["disputed", "distrusted", "stale"])
async def test_a_position_that_is_not_believed_is_not_compared(
    rig: ReconcileRig, monkeypatch: pytest.MonkeyPatch, doubt: str
) -> None:
    """That it agreed before changes nothing; nor does a proof that stands still."""
    rig.agree("BTCUSDT", "2")
    async with running_engine(rig):
        asked = await asked_at_rest(rig, monkeypatch)
        rig.unproven.add("BTCUSDT")
        await trio.sleep(1.5)
        entry = rig.book.entry("BTCUSDT")
        assert entry is not None
        if doubt == "disputed":
            rig.book.publish(0, type(entry)(entry.snapshot, None, disputed=True))
        elif doubt == "distrusted":
            rig.book.lose_trust(rig.clock.now())
        else:
            rig.book.prove(0, StreamProof(entry.snapshot.verified_at, entry.snapshot.verified_at))
            await trio.sleep(10)
        asked.clear()
        await trio.sleep(5)
        assert "ETHUSDT" in {each.symbol for each in asked}
        assert ("BTCUSDT", "2") not in {(each.symbol, each.amount) for each in asked}
