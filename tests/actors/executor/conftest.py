from __future__ import annotations

import pytest

from tests.actors.executor_rig import ExecutorRig


@pytest.fixture
async def rig() -> ExecutorRig:
    return ExecutorRig()
