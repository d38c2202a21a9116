"""Many symbols that agree are compared in turn; what moves is compared at once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import pytest
import trio

from store.reconcile_records import ComparedLedgers, ExpectedLedger
from tests.actors.reconcile_rig import ReconcileRig, running_engine
from tests.virtual_time import virtual_time

pytestmark = virtual_time

MANY = tuple(f"S{number}USDT" for number in range(1_700))


@pytest.fixture
async def large(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[ReconcileRig, list[int]]]:
    """A rig with 1 700 symbols, 200 not flat, and the number of symbols of each comparison."""
    rig = ReconcileRig(symbols=MANY)
    for symbol in MANY[:200]:
        rig.agree(symbol, "2")
    sizes: list[int] = []
    usual = rig.store.differing_ledgers

    async def counted(expected: Sequence[ExpectedLedger]) -> ComparedLedgers:
        sizes.append(len(expected))
        return await usual(expected)

    monkeypatch.setattr(rig.store, "differing_ledgers", counted)
    async with running_engine(rig):
        await trio.sleep(3)
        yield rig, sizes


async def test_symbols_that_agree_are_compared_in_turn(large: tuple[ReconcileRig, list[int]]) -> None:
    _, sizes = large
    assert sizes[0] == 1_700
    assert max(sizes[1:]) <= 500 + 32


async def test_a_position_that_moves_is_compared_at_once(large: tuple[ReconcileRig, list[int]]) -> None:
    rig, _ = large
    for symbol in (MANY[0], MANY[900], MANY[-1]):
        rig.trade(symbol, "BUY", "1", client_order_id="web_1")
    await trio.sleep(2.5)
    assert all(rig.held_by(symbol).startswith("p34:") for symbol in (MANY[0], MANY[900], MANY[-1]))


@pytest.mark.parametrize("symbol", [MANY[150], MANY[1_650]])
async def test_a_ledger_that_another_has_written_is_found_in_its_turn(
    large: tuple[ReconcileRig, list[int]], symbol: str
) -> None:
    rig, _ = large
    rig.ledger(symbol, "3")
    await trio.sleep(4 + 2.5)
    assert rig.held_by(symbol).startswith("p34:")
