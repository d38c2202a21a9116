"""deploy/redis/roles: with the rights of a role, the service's user can do that role's work."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import redis

from simulator import running
from tests.deploy.guarded_redis import ADMIN, guarded_redis
from tests.deploy.test_redis_rights import PATIENT, WITHIN_SEC, governor_agrees, refused_by_rights
from tests.integration.daemon_process import daemon_process
from tests.integration.pipeline import RESULTS, Pipeline, entry
from tests.integration.surroundings import environment, small_exchange
from tests.integration.waiting import until

pytestmark = pytest.mark.system_tools


def _all_exist(admin: Any, keys: list[str]) -> bool:
    return bool(admin.exists(*keys) == len(keys))


async def test_the_universe_is_published_with_the_rights_of_that_role_and_with_no_others(
    system_redis: Path, tmp_path: Path
) -> None:
    with guarded_redis(system_redis, tmp_path, roles=["universe"]) as guarded:
        admin, client = guarded.admin(), guarded.client("p33")
        for command in (
            "DEL quantum:cfg:universe:active",
            "SET quantum:cfg:other 1",
            "SET quantum:universe 1",
        ):
            with pytest.raises(redis.ResponseError):
                client.execute_command(*command.split(" "))
        async with running(small_exchange()) as simulator:
            for mode, base in (("shadow", "quantum:universe:shadow"), ("on", "quantum:cfg:universe")):
                settings = {**PATIENT, "P33_UNIVERSE": mode, "P33_ALLOWLIST_SOURCE": "universe"}
                admin.set(f"{base}:last_ok", '{"asof_epoch": 1, "symbols": ["GONEUSDT", "BTCUSDT"]}')
                admin.acl_log_reset()
                async with daemon_process(environment(guarded.url("p33"), simulator, settings)) as daemon:
                    await daemon.ready()
                    keys = [f"{base}:{name}" for name in ("active", "last_ok", "meta", "volumes", "closing")]
                    await until(partial(_all_exist, admin, keys), "all is published", WITHIN_SEC)
                assert refused_by_rights(guarded) == []
        assert admin.xlen("quantum:stream:universe.events") > 0


async def test_a_plan_is_executed_with_the_rights_of_the_executor_and_with_no_others(
    system_redis: Path, tmp_path: Path
) -> None:
    with guarded_redis(system_redis, tmp_path, roles=["executor"]) as guarded:
        admin, client = guarded.admin(), guarded.client("p33")
        for command in (
            "SET quantum:permit:forged {}",
            "SET quantum:kill 0",
            "DEL quantum:stream:apply.result",
        ):
            with pytest.raises(redis.ResponseError):
                client.execute_command(*command.split(" "))
        async with running(small_exchange()) as simulator:
            settings = {**PATIENT, "P33_EXECUTOR": "on", "APPLY_PERMIT_WAIT_MS": "20000"}
            admin.acl_log_reset()
            async with daemon_process(environment(guarded.url("p33"), simulator, settings)) as daemon:
                await daemon.ready()
                pipeline = Pipeline(guarded.url(ADMIN))
                await until(lambda: pipeline.snapshot("SOLUSDT").get("mark_price"), "a price", WITHIN_SEC)
                governor_agrees(admin, "plan-1", "SOLUSDT")
                pipeline.publish_plan("plan-1", entry("SOLUSDT", "0.5"))
                await until(lambda: pipeline.entries(RESULTS), "a result", WITHIN_SEC)
                ((_, result),) = pipeline.entries(RESULTS)
                assert (result["error"], result["order_status"]) == ("", "FILLED")
                await until(lambda: pipeline.ledger("SOLUSDT").get("last_known_amt") == "0.5", "the booking")
            assert refused_by_rights(guarded) == []
