from __future__ import annotations

import pytest

from tests.monitoring.status_rig import StatusRig


@pytest.fixture
def rig() -> StatusRig:
    return StatusRig()
