from __future__ import annotations

from pathlib import Path

import pytest

from tests.store.redis_servers import known_servers


@pytest.fixture
def system_redis() -> Path:
    """The redis-server of the system, 7.0 or newer: with TLS, and with rights of single keys."""
    found = known_servers().get("installed-redis")
    assert found is not None, "redis-server is not on PATH"
    return found
