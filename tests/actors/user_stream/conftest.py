from __future__ import annotations

import pytest

from tests.actors.stream_rig import FakeRig


@pytest.fixture
def rig() -> FakeRig:
    return FakeRig()
