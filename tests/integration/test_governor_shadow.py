"""The Governor's shadow writes nothing that another service reads; switched off it leaves no trace."""

from __future__ import annotations

import re

from tests.integration.governed_plans import (
    KEYS,
    SHADOW,
    TRADING_STATE,
    asked,
    knows_the_account,
    prices_are_known,
)
from tests.integration.monitored_redis import Writes, monitored
from tests.integration.pipeline import PLANS, RESULTS, entry, executed, full_close
from tests.integration.site import Site
from tests.integration.surroundings import SYMBOLS
from tests.integration.waiting import until

#: Plans in their order: more of one symbol than five minutes may grant, so that the Governor disarms.
PLANS_OF_ALL_KINDS = {
    "open-1": {**entry("SOLUSDT", "0.5"), "kill_score": "0.4"},
    "open-2": {**entry("SOLUSDT", "0.5"), "kill_score": "0.9"},
    "open-3": {**entry("SOLUSDT", "0.5"), "kill_score": "0.4"},
    "open-4": entry("SOLUSDT", "0.5"),
    "large": entry("BTCUSDT", "1"),
    "close": full_close("ETHUSDT"),
    "skipped": {**entry("XRPUSDT", "20"), "decision": "SKIP", "kill_score": "0.2"},
    "malformed": {**entry("XRPUSDT", "20"), "qty": "many"},
    "after": entry("XRPUSDT", "20"),
}
METRICS = re.compile(r"^(?:# TYPE )?((?:quantum_govern|gov|p32)_\w+)", re.MULTILINE)


async def writes_of(site: Site, mode: str) -> tuple[set[tuple[str, ...]], set[str]]:
    """Run a daemon beside the same plans and results; what was written, and the Governor's metrics."""
    writes = Writes(site.redis)
    settings = {"P33_GOVERNOR": mode, "GOV_SYMBOL_COOLDOWN_SECONDS": "0", "P33_EXECUTOR": "off"}
    async with monitored(site.redis_url, writes.take), site.daemon(settings) as daemon:
        url = await daemon.ready()
        if mode != "off":
            await knows_the_account(url)
            await prices_are_known(site.redis, *{fields["symbol"] for fields in PLANS_OF_ALL_KINDS.values()})
        for plan_id, fields in PLANS_OF_ALL_KINDS.items():
            site.publish_plan(plan_id, fields)
        site.publish_plan("open-1", PLANS_OF_ALL_KINDS["open-1"])
        await site.decided_once(PLANS_OF_ALL_KINDS.keys() - {"skipped"})
        if mode != "off":
            await until(lambda: site.redis.hexists(SHADOW.reserved, "open-1"), "the grant is reserved")
        site.publish_result(executed("open-1", "SOLUSDT", 1, "BUY", "0.5"))
        site.publish_result({"plan_id": "open-3", "symbol": "SOLUSDT", "executed": "False", "error": "no"})
        await site.nothing_pends(PLANS, RESULTS)
        if mode != "off":
            await until(lambda: not site.redis.hexists(SHADOW.reserved, "open-3"), "the grant is settled")
            await until(lambda: _all_acknowledged(site), "all is acknowledged in each group")
        shown = set(METRICS.findall((await asked(url, "/metrics")).text))
        assert daemon.alive and "Actor failed" not in daemon.output, daemon.output[-2000:]
    return {_general(write) for write in writes.seen}, shown


def _all_acknowledged(site: Site) -> bool:
    groups = [each for stream in (PLANS, RESULTS) for each in site.redis.xinfo_groups(stream)]
    return not any(each["pending"] or each["lag"] for each in groups)


def _general(write: tuple[str, ...]) -> tuple[str, ...]:
    """Return a write without names of plans and symbols."""
    last = write[0].rpartition(":")[2]
    named = last in PLANS_OF_ALL_KINDS or last in SYMBOLS
    return (write[0].removesuffix(last) + "…", *write[1:]) if named else write


async def test_a_governor_that_is_off_leaves_no_key_no_group_and_no_metric(site: Site) -> None:
    written, metrics = await writes_of(site, "off")
    assert [write for write in written if "governor" in " ".join(write)] == []
    assert {write[1] for write in written if write[1:]} == {"p33"}
    assert metrics == set()
    assert list(site.redis.scan_iter("*governor*")) == []


async def test_the_shadow_writes_what_a_daemon_without_a_governor_does_and_keys_of_its_own(
    site: Site,
) -> None:
    without, _ = await writes_of(site, "off")
    site.redis.flushall()
    written, metrics = await writes_of(site, "shadow")
    more = written - without
    own = {write for write in more if write[0].startswith(f"{SHADOW.base}:")}
    groups = {write for write in more if write[1:] and write[1].endswith("_shadow")}
    assert more - own - groups == set()
    assert groups == {
        (PLANS, "governor_shadow"),
        (RESULTS, "governor_result_monitor_shadow"),
    }
    assert any(key.startswith("quantum_govern_allow") for key in metrics), metrics
    reasons = {row["plan_id"]: row["reason"] for _, row in site.entries(SHADOW.audit)}
    assert reasons == {
        "open-1": "governor_granted",
        "open-2": "kill_score_critical_open",
        "open-3": "governor_granted",
        "open-4": "burst_limit_exceeded",
        "large": "kill_switch_active",  # by the disarm that it would have set
        "close": "governor_granted_close",
        "malformed": "malformed_plan",
        "after": "kill_switch_active",
    }
    assert all(row["shadow"] == "true" for _, row in site.entries(SHADOW.audit))
    # What it would have set is an event of its own, and the state that all others obey stays as it was.
    assert [row["reason"] for _, row in site.entries(SHADOW.events)] == ["burst_limit_breach"]
    assert not site.redis.exists(TRADING_STATE, KEYS.audit, KEYS.events, KEYS.block("large"))
