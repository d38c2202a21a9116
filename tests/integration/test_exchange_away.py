"""A start while the exchange is away: every plan is denied in time, and decided properly once it is back."""

from __future__ import annotations

import time

from tests.integration.pipeline import PLANS, entry, full_close
from tests.integration.site import Site
from tests.integration.surroundings import SYMBOLS, is_ready, is_unready
from tests.integration.waiting import until

AGE_LIMIT_SEC = 5.0


async def test_a_service_that_starts_without_the_exchange_denies_its_plans_within_their_age_limit(
    site: Site,
) -> None:
    faults = site.exchange.faults
    faults.rest_fault_rates = {"5xx": 1.0}
    async with site.daemon() as daemon:
        url = await daemon.url()
        await is_unready(url, "exchangeInfo")
        await until(lambda: site.redis.exists(PLANS), "the consumer group's stream")
        await until(lambda: site.redis.xinfo_groups(PLANS), "the consumer group")
        await until(lambda: site.redis.get("quantum:p33:lease"), "the lease")
        asked = {f"open-{symbol}": entry(symbol, "1") for symbol in SYMBOLS[:4]}
        asked |= {f"close-{symbol}": full_close(symbol) for symbol in SYMBOLS[:4]}
        for plan_id, fields in asked.items():
            site.publish_plan(plan_id, fields)
        published_sec = time.time()
        for plan_id in asked:
            answer = await site.permit(plan_id, within_sec=AGE_LIMIT_SEC)
            assert (answer["reason"], answer["details"]["exchange_known"]) == ("no_exchange_snapshot", False)
            assert float(answer["created_at"]) - published_sec < AGE_LIMIT_SEC
        assert (await is_unready(url, "exchangeInfo")).ready is False

        faults.rest_fault_rates = {}
        await is_ready(lambda: url, within_sec=30)
        answer = await site.ask("later", entry("SOLUSDT", "1"))
        assert answer["reason"] == "open_permit_granted"
        await site.decided_once([*asked, "later"])
        await site.nothing_pends(PLANS)
        assert "Actor failed" not in daemon.output


async def test_readyz_names_a_portfolio_margin_account_as_the_cause(site: Site) -> None:
    rights = site.exchange.key_rights
    rights.enable_portfolio_margin_trading = True
    async with site.daemon() as daemon:
        url = await daemon.url()
        answer = await is_unready(
            url,
            "there is no snapshot yet, because the API key is refused (-2015)",
            "portfolio margin",
        )
        # exchangeInfo needs no key.
        assert not any("exchangeInfo" in reason for reason in answer.reasons)
        rights.enable_portfolio_margin_trading = False
        await is_ready(lambda: url, within_sec=30)
        assert "Actor failed" not in daemon.output
