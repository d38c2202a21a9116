from __future__ import annotations

import pytest

from tests.actors.evaluator_rig import EvaluatorRig
from tests.actors.ledger_rig import LedgerRig


@pytest.fixture
def rig() -> EvaluatorRig:
    """An evaluator's; folders and files about another actor have a `rig` of their own."""
    return EvaluatorRig()


@pytest.fixture
async def stopped() -> LedgerRig:
    """A ledger writer that does not run: BTCUSDT is flat, and its row has no date; ETHUSDT is held."""
    rig = LedgerRig()
    rig.exchange.set("BTCUSDT", "0", update_time_ms=0)
    rig.exchange.set("ETHUSDT", "-2", update_time_ms=5)
    return rig
