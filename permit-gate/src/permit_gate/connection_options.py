"""How both flavours connect."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from redis.maint_notifications import MaintNotificationsConfig


def connection_options(retry: object, timeout_sec: float, told: Mapping[str, Any]) -> dict[str, Any]:
    """Options for a connection pool; `told` are the caller's, for TLS and names.

    `retry` must be a policy that does not: redis-py's own retries would answer long after anybody waited.
    Pushes need RESP3. "Maintenance notifications" would switch off the check that an idle connection is
    still alive before it is used.
    """
    return {
        "max_connections": 10_000,  # redis-py allows 100 by itself
        **told,
        "protocol": 3,
        "retry": retry,
        "socket_timeout": timeout_sec,
        "socket_connect_timeout": timeout_sec,
        "decode_responses": False,
        "maint_notifications_config": MaintNotificationsConfig(enabled=False),
    }
