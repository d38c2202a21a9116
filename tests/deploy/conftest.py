from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.store.redis_servers import known_servers


@pytest.fixture
def system_redis() -> Path:
    """The redis-server of the system, 7.0 or newer: with TLS, and with rights of single keys."""
    found = known_servers().get("installed-redis")
    if found is None and not os.environ.get("P33_TESTS_NEED_EVERY_REDIS"):
        pytest.skip("needs redis-server on PATH: Valkey's wheel has no TLS")
    assert found is not None, "redis-server is not on PATH"
    return found
