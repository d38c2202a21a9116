"""Symbols at rest are compared in Redis alone, each cadence; what changes there or here is noticed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence

import pytest
import trio

from actors.reconcile_engine.comparison import PositionComparison
from brain.identifiers import Symbol
from brain.positions.symbol_state import StreamProof
from store.reconcile_records import ComparedLedgers, ExpectedLedger
from tests.actors.reconcile_rig import SYMBOLS, ReconcileRig, running_engine
from tests.virtual_time import virtual_time

pytestmark = virtual_time

CHANGES: dict[str, tuple[Callable[[ReconcileRig], object], str]] = {
    "a person corrects the amount": (lambda rig: rig.ledger("BTCUSDT", "1"), "HOLD_SET"),
    "the ledger vanishes": (lambda rig: rig.redis.delete(rig.keys.ledger("BTCUSDT")), "DRIFT"),
    "redis lost the last writes": (lambda rig: rig.ledger("BTCUSDT", "3", version="0"), "HOLD_SET"),
    "the position moves": (lambda rig: rig.move("BTCUSDT", "-1"), "HOLD_SET"),
    "the ledger's key has another type": (lambda rig: _set_other_type(rig), "DRIFT"),
}


def _set_other_type(rig: ReconcileRig) -> None:
    rig.redis.delete(rig.keys.ledger("BTCUSDT"))
    rig.redis.set(rig.keys.ledger("BTCUSDT"), "2")


@pytest.fixture
async def rig() -> ReconcileRig:
    """More symbols than are read in full at each cadence: those are not at rest."""
    return ReconcileRig(symbols=(*SYMBOLS, *(f"S{number}USDT" for number in range(96))))


class AtRest:
    """Symbols that were at rest at the latest comparison."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.symbols: Collection[Symbol] = ()
        self._noted = trio.lowlevel.ParkingLot()
        still = PositionComparison._still

        async def note(
            comparison: PositionComparison, symbols: Collection[Symbol]
        ) -> dict[Symbol, ExpectedLedger]:
            found = await still(comparison, symbols)
            self.symbols = found.keys()
            self._noted.unpark_all()
            return found

        monkeypatch.setattr(PositionComparison, "_still", note)

    async def comes(self, symbol: str) -> None:
        """Wait until the symbol comes to rest: it stays there for two comparisons more."""
        with trio.fail_after(10):
            for there in (False, True):
                while (Symbol(symbol) in self.symbols) is not there:
                    await self._noted.park()


@pytest.fixture
def at_rest(monkeypatch: pytest.MonkeyPatch) -> AtRest:
    return AtRest(monkeypatch)


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
async def test_a_change_is_noticed_at_the_next_cadence(
    rig: ReconcileRig, at_rest: AtRest, change: str
) -> None:
    rig.agree("BTCUSDT", "2")
    async with running_engine(rig):
        await trio.sleep(60)
        await at_rest.comes("BTCUSDT")
        assert rig.told("BTCUSDT") == []
        happens, event = CHANGES[change]
        happens(rig)
        # A cadence, and the 2 s for which it has to last.
        await trio.sleep(3.1)
        assert rig.told("BTCUSDT") == [event]


async def test_all_ledgers_are_compared_each_cadence(
    rig: ReconcileRig, at_rest: AtRest, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_engine(rig):
        asked = await asked_at_rest(rig, monkeypatch)
        await trio.sleep(10)
        assert len(at_rest.symbols) > len(rig.symbols) / 2
    counts = Counter(str(each.symbol) for each in asked)
    assert set(counts) == set(rig.symbols)
    assert all(9 <= count <= 11 for count in counts.values())


@pytest.mark.parametrize("found", ["disputed", "distrusted", "stale"])
async def test_a_position_that_is_not_believed_is_not_compared(
    rig: ReconcileRig, at_rest: AtRest, monkeypatch: pytest.MonkeyPatch, found: str
) -> None:
    """That it agreed before changes nothing; nor does a proof that stands still."""
    rig.agree("BTCUSDT", "2")
    async with running_engine(rig):
        asked = await asked_at_rest(rig, monkeypatch)
        await at_rest.comes("BTCUSDT")
        rig.unproven.add("BTCUSDT")
        await trio.sleep(1.5)
        entry = rig.book.entry("BTCUSDT")
        assert entry is not None
        if found == "disputed":
            rig.book.publish(0, type(entry)(entry.snapshot, None, disputed=True))
        elif found == "distrusted":
            rig.book.lose_trust(rig.clock.now())
        else:
            rig.book.prove(0, StreamProof(entry.snapshot.verified_at, entry.snapshot.verified_at))
            await trio.sleep(10)
        asked.clear()
        await trio.sleep(5)
        assert "ETHUSDT" in {each.symbol for each in asked}
        assert ("BTCUSDT", "2") not in {(each.symbol, each.amount) for each in asked}
