from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.actors.ledger_rig import LedgerRig, at_rest, running_writer


@pytest.fixture
async def rig(stopped: LedgerRig) -> AsyncIterator[LedgerRig]:
    """Yields a ledger writer that runs and has adopted the first ledgers."""
    async with running_writer(stopped):
        await at_rest(stopped)
        yield stopped


@pytest.fixture
async def adopted(stopped: LedgerRig) -> LedgerRig:
    """A ledger writer that has adopted the first ledgers and ended."""
    async with running_writer(stopped):
        await at_rest(stopped)
    return stopped
