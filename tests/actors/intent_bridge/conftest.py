from __future__ import annotations

import pytest

from tests.actors.bridge_rig import BridgeRig


@pytest.fixture
async def rig() -> BridgeRig:
    return BridgeRig()
