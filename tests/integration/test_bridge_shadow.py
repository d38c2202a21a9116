"""The bridge's shadow writes nothing that another service reads; switched off it leaves no trace."""

from __future__ import annotations

import re

from tests.integration.bridged import CHAIN, EXITS, HARVESTS, INTENTS, SHADOW, Intents, reads
from tests.integration.governed_plans import asked, prices_are_known
from tests.integration.monitored_redis import Writes, monitored
from tests.integration.pipeline import PLANS
from tests.integration.site import Site
from tests.integration.surroundings import SYMBOLS
from tests.integration.waiting import until

OF_ALL_KINDS = (
    (INTENTS, {"symbol": "SOLUSDT", "side": "BUY", "position_usd": "50"}),
    (INTENTS, {"symbol": "SOLUSDT", "side": "CLOSE"}),
    (INTENTS, {"symbol": "NONEUSDT", "side": "BUY", "quantity": "1"}),
    (INTENTS, {"symbol": "SOLUSDT", "side": "HOLD"}),
    (EXITS, {"symbol": "ETHUSDT", "action": "FULL_CLOSE", "intent_id": "e1"}),
    (HARVESTS, {"symbol": "ETHUSDT", "action": "PARTIAL_50"}),
)
METRICS = re.compile(r"^(?:# TYPE )?(bridge_\w+)", re.MULTILINE)


async def writes_of(site: Site, mode: str) -> tuple[set[tuple[str, ...]], set[str]]:
    """Run a daemon beside the same intents; what was written, and the bridge's metrics."""
    writes = Writes(site.redis)
    settings = {**CHAIN, "P33_INTENT_BRIDGE": mode, "P33_GOVERNOR": "off", "P33_EXECUTOR": "off"}
    intents = Intents(site, SHADOW)
    async with monitored(site.redis_url, writes.take), site.daemon(settings) as daemon:
        url = await daemon.ready()
        await prices_are_known(site.redis, *SYMBOLS)
        if mode != "off":
            await reads(site, SHADOW)
        for stream, fields in OF_ALL_KINDS:
            intents.publish(stream, fields)
        if mode != "off":
            await until(lambda: len(intents.answers()) == len(OF_ALL_KINDS), "all answers", 10)
        plan = {"symbol": "SOLUSDT", "decision": "EXECUTE", "action": "FULL_CLOSE_PROPOSED"}
        await site.ask("one", plan)
        shown = set(METRICS.findall((await asked(url, "/metrics")).text))
        assert daemon.alive and "Actor failed" not in daemon.output, daemon.output[-2000:]
    return writes.seen, shown


async def test_a_bridge_that_is_off_leaves_no_key_no_group_and_no_metric(site: Site) -> None:
    written, metrics = await writes_of(site, "off")
    assert [write for write in written if "intent_bridge" in " ".join(write)] == []
    assert metrics == set()
    assert list(site.redis.scan_iter("*intent_bridge*")) == []
    assert site.redis.xinfo_groups(INTENTS) == []


async def test_the_shadow_writes_keys_of_its_own_and_no_plan(site: Site) -> None:
    without, _ = await writes_of(site, "off")
    site.redis.flushall()
    written, metrics = await writes_of(site, "shadow")
    more = {write for write in written - without if not write[0].startswith("quantum:position:")}
    own = {write for write in more if write[0].startswith(f"{SHADOW.base}:")}
    groups = {write for write in more if write[1:] and write[1].endswith("_shadow")}
    # Streams of intents are made with their groups.
    assert more - own - groups == set()
    assert {group for _, group in groups} == {
        "quantum:group:intent_bridge_shadow", "exit-intent-gateway_shadow", "intent_executor_harvest_shadow",
    }  # fmt: skip
    assert "bridge_intents_total" in metrics
    rows = [row for _, row in site.entries(SHADOW.audit)]
    assert sorted(row["reason"] or row["outcome"] for row in rows) == [
        "flat_close", "flat_close", "flat_close", "malformed_intent", "plan", "symbol_not_in_universe",
    ]  # fmt: skip
    assert all(row["mode"] == "shadow" for row in rows)
    assert [row["plan_id"] for _, row in site.entries(PLANS)] == ["one"]
