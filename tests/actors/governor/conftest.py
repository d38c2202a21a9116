from __future__ import annotations

import pytest

from tests.actors.governor_rig import GovernorRig


@pytest.fixture
async def rig() -> GovernorRig:
    return GovernorRig()
