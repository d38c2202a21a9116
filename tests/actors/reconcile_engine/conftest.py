from __future__ import annotations

import pytest

from tests.actors.reconcile_rig import ReconcileRig


@pytest.fixture
async def rig() -> ReconcileRig:
    return ReconcileRig()
