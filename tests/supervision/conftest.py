from __future__ import annotations

import pytest

from tests.supervision.rig import Journal


@pytest.fixture
def journal() -> Journal:
    return Journal()
