"""deploy/redis: operators and the service's user mark notices as seen, and the service reads the marks."""

from __future__ import annotations

from pathlib import Path

import pytest
import redis

from store.notice_records import SeenMark
from store.redis.store import open_redis_store
from tests.deploy.guarded_redis import guarded_redis
from tests.deploy.test_redis_rights import refused_by_rights

pytestmark = pytest.mark.system_tools


@pytest.mark.parametrize("user", ["p33-operator", "p33"])
async def test_a_notice_is_marked_as_seen_with_the_rights_of_a_user(
    system_redis: Path, tmp_path: Path, user: str
) -> None:
    with guarded_redis(system_redis, tmp_path, roles=["governor"]) as guarded:
        async with open_redis_store(guarded.url(user), prefix="quantum", consumer="first") as operator:
            now_ms = (await operator.operator_view(None)).now_ms if user == "p33-operator" else 0
            mark = SeenMark("ann", 4_000_000_000_000)
            assert await operator.mark_seen("ban", "", mark, now_ms, ("event", "NOTICE_SEEN"))
        async with open_redis_store(guarded.url("p33"), prefix="quantum", consumer="first") as service:
            assert await service.seen_notices() == {"ban|": mark}
        assert refused_by_rights(guarded) == []
        for command in ("HSET quantum:p33:unknown a b", "DEL quantum:p33:seen", "SET quantum:p33:lease x"):
            with pytest.raises(redis.ResponseError, match="no permissions"):
                guarded.client("p33-operator").execute_command(*command.split(" "))
