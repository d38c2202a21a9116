"""An operator beside a real daemon with Governor and executor: halts, holds, and asks why."""

from __future__ import annotations

import json
from typing import Any

import pytest

from brain.execution.switches import TradingState
from brain.identifiers import PlanId, Symbol
from commands.explain import explain
from commands.replay import ReplayOptions, replay
from commands.switches import hold, release, trading_state
from commands.switches.changes import Order
from simulator import RunningSimulator
from tests.commands.deployment import run_command
from tests.integration.daemon_process import daemon_process
from tests.integration.governed_plans import asked, governor, knows_the_account, prices_are_known
from tests.integration.pipeline import Pipeline, entry, full_close
from tests.integration.surroundings import environment
from tests.integration.test_governor_role import BOTH, result_of, settled
from tests.integration.waiting import until, until_async

SOL = Symbol("SOLUSDT")
#: The first kill scores of a symbol judge nothing: two are enough here.
SETTINGS = {**BOTH, "GOV_Z_WARMUP": "2", "GOV_MAX_EXEC_PER_5MIN": "0", "P33_COOLDOWN_SEC": "0"}


async def test_an_operator_stops_trading_and_one_symbol_and_starts_both_again(
    redis_server: str, pipeline: Pipeline, simulator: RunningSimulator, capsys: pytest.CaptureFixture[str]
) -> None:
    environ = environment(redis_server, simulator, SETTINGS)

    async def error_of(plan_id: str, fields: dict[str, str]) -> str:
        """Publish a plan and return the error of its result, empty where it was executed."""
        pipeline.publish_plan(plan_id, fields)
        result = await until(lambda: result_of(pipeline, plan_id), f"the result of {plan_id}", 5)
        assert result is not None
        return result["error"]

    async def shown(state: TradingState) -> None:
        async def there() -> bool:
            return bool((await governor(url))["trading_state"] == state)

        await until_async(there, f"{state} in /status")

    agreed = Order("a test", yes=True)
    async with daemon_process(environ) as process:
        url = await process.ready()
        await knows_the_account(url)
        await prices_are_known(pipeline.redis, "SOLUSDT")
        assert await error_of("open-1", {**entry("SOLUSDT", "0.5"), "kill_score": "0.4"}) == ""
        await settled(pipeline, "open-1")

        assert await run_command(trading_state, environ, TradingState.HALTED, agreed) == 0
        assert await error_of("close-1", full_close("SOLUSDT")) == "permit_denied (Governor: trading_halted)"
        await shown(TradingState.HALTED)
        page = (await asked(url, "/")).text
        assert "trading HALTED: no order is permitted" in page and 'id="governor"' in page

        assert await run_command(trading_state, environ, TradingState.REDUCING, agreed) == 0
        add = {**entry("SOLUSDT", "0.5"), "kill_score": "0.4"}
        assert await error_of("add-1", add) == "permit_denied (Governor: kill_switch_active)"
        await shown(TradingState.REDUCING)

        assert await run_command(trading_state, environ, TradingState.ACTIVE, agreed) == 0
        assert await run_command(hold, environ, SOL, agreed, force=False) == 0
        assert (
            await error_of("close-2", full_close("SOLUSDT")) == "permit_denied (P3.3: reconcile_hold_active)"
        )
        assert await run_command(release, environ, SOL, agreed, force=False) == 0
        assert await error_of("close-3", full_close("SOLUSDT")) == ""
        await settled(pipeline, "close-3")
        await shown(TradingState.ACTIVE)

        # Two scores were usual; this one is not.
        assert await error_of("open-2", {**entry("SOLUSDT", "0.5"), "kill_score": "0.7"}) == (
            "permit_denied (Governor: kill_score_entry)"
        )
        assert "Kill score of SOLUSDT entry: 3 plans, 2 refused" in (await asked(url, "/")).text
    capsys.readouterr()

    assert await run_command(explain, environ, PlanId("open-2"), as_json=True) == 0
    why: dict[str, Any] = json.loads(capsys.readouterr().out)
    judgement = why["governor"]["judgement"]
    assert (judgement["reason"], judgement["z"] > judgement["cutoff"]) == ("kill_score_entry", True)
    lines = [each["what"] for each in why["execution"]["timeline"]]
    assert any(line.startswith("The Governor refuses it: kill_score_entry (z ") for line in lines)
    assert any(line.startswith("P3.3 ") for line in lines)

    assert await run_command(replay, environ, ReplayOptions(role="governor")) == 0
    assert "each the same again" in capsys.readouterr().out
    tried = ReplayOptions(changes=["GOV_Z_ENTRY_BASE=5"])
    assert await run_command(replay, environ, tried) == 0
    words = " ".join(capsys.readouterr().out.split())
    assert "1 of 6 judgements would have had another answer" in words
    assert "REFUSE kill_score_entry GRANT governor_granted" in words
    events = [row["event"] for _, row in pipeline.entries("quantum:stream:governor.events")]
    assert events == ["TRADING_STATE", "TRADING_STATE", "REARMED"]
