"""A foreign Governor acts with limits of its own, ours runs in shadow: `compare` names each difference."""

from __future__ import annotations

import json
import signal
from decimal import ROUND_DOWN, Decimal
from typing import Any

import pytest

from commands.compare import CompareOptions, compare
from commands.explain import explain
from tests.integration.governed_plans import SHADOW, GovernedPlans, knows_the_account
from tests.integration.pipeline import Fields, entry, full_close
from tests.integration.played_governor import GovernorWithLimits
from tests.integration.site import Site
from tests.integration.waiting import until

SETTINGS = {
    "P33_GOVERNOR": "shadow",
    "P33_EXECUTOR": "on",
    "P33_COOLDOWN_SEC": "0",
    "GOV_SYMBOL_COOLDOWN_SECONDS": "0",
    "GOV_MAX_EXEC_PER_HOUR": "2",
    "GOV_MAX_EXEC_PER_5MIN": "2",
    "GOV_DISARM_ON_BURST_BREACH": "false",
    "GOV_MAX_NOTIONAL_PER_TRADE_USDT": "200",
}
SILENT = "XRPUSDT"


async def published(
    site: Site, theirs: GovernorWithLimits, ours: GovernedPlans, plan_id: str, fields: Fields
) -> None:
    """Publish a plan to both; wait for our judgement, the executor's result and its booking."""
    published_ms = int(theirs.judge(plan_id, fields).partition("-")[0])
    await ours.judgement(plan_id, published_ms)
    result = await theirs.result(plan_id)
    if result["executed"] == "true":
        booked = f"quantum:p33:orders:{fields['symbol']}"
        await until(lambda: site.redis.hexists(booked, result["order_id"]), "the booking", 5)


def compared(site: Site, capsys: pytest.CaptureFixture[str], exit_code: int) -> dict[str, Any]:
    assert compare({"REDIS_URL": site.redis_url}, "governor", CompareOptions(), as_json=True) == exit_code
    shown: dict[str, Any] = json.loads(capsys.readouterr().out)
    return shown


async def test_each_difference_between_two_governors_is_named_with_both_reasons(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    theirs, ours = GovernorWithLimits(site, per_hour=1, silent=SILENT), GovernedPlans(site, SHADOW.audit)
    async with site.daemon(SETTINGS) as daemon:
        url = await daemon.ready()
        await theirs.executor_reads()
        await knows_the_account(url)
        for symbol in ("SOLUSDT", "ETHUSDT", SILENT):
            await theirs.has_price(symbol)
        price = Decimal(site.snapshot("ETHUSDT")["mark_price"])
        large = str((Decimal(300) / price).quantize(Decimal("0.001"), ROUND_DOWN))

        await published(site, theirs, ours, "first", entry("SOLUSDT", "0.5"))
        await published(site, theirs, ours, "close", full_close("SOLUSDT"))
        same = compared(site, capsys, 0)
        assert (same["agreement_pct"], same["agree"]) == (100.0, {"proof": 2, "absence": 0})

        await published(site, theirs, ours, "second", entry("SOLUSDT", "0.5"))
        await published(site, theirs, ours, "large", entry("ETHUSDT", large))
        await published(site, theirs, ours, "unanswered", entry(SILENT, "20"))
        shown = compared(site, capsys, 1)
        found = {
            each["id"]: (
                each["ours"]["reason"],
                each["theirs"]["side"]["reason"],
                each["theirs"]["basis"],
                each["theirs"]["seen_in"],
            )
            for each in shown["differences"]
        }
        assert found == {
            "second": ("governor_granted", "hourly_limit_exceeded", "proof", "its block"),
            "large": ("notional_per_trade_exceeded", "granted", "proof", "the permit, as consumed"),
            "unanswered": ("governor_granted", "no permit in time", "absence", "the executor's result"),
        }
        assert (shown["compared"], shown["agreement_pct"]) == (5, 40.0)

        # Blocks expire: what the executor has published of them proves the refusal as well.
        site.redis.delete("quantum:governor:block:second")
        again = {each["id"]: each["theirs"] for each in compared(site, capsys, 1)["differences"]}
        assert again["second"]["side"]["reason"] == "hourly_limit_exceeded"
        assert again["second"]["seen_in"] == "the executor's result"

        assert explain({"REDIS_URL": site.redis_url}, "large", as_json=True) == 0
        chain = {each["name"]: each for each in json.loads(capsys.readouterr().out)["chain"]}
        assert chain["Governor"]["state"] == "elsewhere"
        assert chain["Governor"]["text"].startswith("another one grants it; this service's own ran in shadow")
        assert (chain["executor"]["state"], chain["ledger"]["state"]) == ("here", "here")
        assert await daemon.stop(signal.SIGTERM) == 0
