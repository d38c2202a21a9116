"""The engine's shadow writes nothing that another service reads; switched off it leaves no trace."""

from __future__ import annotations

import re
from typing import Any

from store.keys import Keys, ReconcileKeys
from tests.integration.governed_plans import asked
from tests.integration.monitored_redis import Writes, monitored
from tests.integration.pipeline import EVENTS
from tests.integration.reconciled import KEYS, PATIENCE_SEC, Reconciled
from tests.integration.surroundings import SYMBOLS
from tests.integration.waiting import until

SHADOW = ReconcileKeys(Keys("quantum"), shadow=True)
OURS, THEIRS = "SOLUSDT", "XRPUSDT"
HISTORY = ("/fapi/v1/userTrades", "/fapi/v1/allOrders", "/fapi/v1/forceOrders", "/fapi/v1/order")
METRICS = re.compile(r"^(?:# TYPE )?(p34_\w+|p33_role\{.*?\})", re.MULTILINE)


async def writes_of(site: Reconciled, mode: str) -> tuple[set[tuple[str, ...]], set[str], dict[str, Any]]:
    """Run a daemon beside the same trades; return what was written, the metrics, and the tree."""
    writes = Writes(site.redis)
    async with monitored(site.redis_url, writes.take), site.daemon({"P33_RECONCILE": mode}) as daemon:
        site.lost(OURS, "3")
        site.moved(THEIRS, "10")
        for symbol in (OURS, THEIRS):
            await site.diverged(symbol)
        if mode == "shadow":
            await until(lambda: len(site.entries(SHADOW.events)) >= 4, "both cases", PATIENCE_SEC)
        url = await daemon.url()
        shown = set(METRICS.findall((await asked(url, "/metrics")).text))
        tree: dict[str, Any] = (await asked(url, "/status")).json()["tree"]
    return {_general(write) for write in writes.seen}, shown, tree


def _general(write: tuple[str, ...]) -> tuple[str, ...]:
    """Return a write without the name of a symbol."""
    last = write[0].rpartition(":")[2]
    return (write[0].removesuffix(last) + "…", *write[1:]) if last in SYMBOLS else write


def names(tree: dict[str, Any]) -> set[str]:
    """Return the names of all children."""
    return {tree["name"]}.union(*(names(child) for child in tree.get("children", ())))


async def test_an_engine_that_is_off_leaves_no_key_no_metric_and_no_child(reconciled: Reconciled) -> None:
    written, metrics, tree = await writes_of(reconciled, "off")
    assert {write for write in written if write[0].startswith("quantum:reconcile")} == set()
    assert {write[0] for write in written if "reconcile" in write[0]} == {EVENTS}
    assert list(reconciled.redis.scan_iter("quantum:reconcile:*")) == []
    assert metrics == set()
    assert not any("reconcile" in name for name in names(tree)) and "ledger_writer" in str(tree)
    for path in HISTORY:
        assert reconciled.exchange.requests.records(path=path) == []


async def test_the_shadow_writes_what_a_daemon_without_it_does_and_keys_of_its_own(
    reconciled: Reconciled,
) -> None:
    site = reconciled
    without, _, _ = await writes_of(site, "off")
    site.redis.flushall()
    written, metrics, tree = await writes_of(site, "shadow")
    more = written - without
    assert {write for write in more if not write[0].startswith(f"{SHADOW.base}:")} == set()
    assert more
    assert "reconcile_engine" in names(tree)
    assert "p34_evidence_lookups_total" in metrics
    assert {each for each in metrics if each.startswith("p33_role")} == {
        'p33_role{mode="shadow",role="reconcile"}'
    }

    told = {
        symbol: [each["event"] for _, each in site.entries(SHADOW.events) if each["symbol"] == symbol]
        for symbol in (OURS, THEIRS)
    }
    assert told[OURS][:2] == ["HOLD_SET", "AUTO_REPAIR"]
    assert told[THEIRS] == ["HOLD_SET", "MANUAL_REQUIRED"]
    assert site.told(OURS) == site.told(THEIRS) == []
    for symbol in (OURS, THEIRS):
        assert not site.redis.exists(KEYS.hold(symbol), KEYS.hold_sig(symbol), KEYS.state(symbol))
        assert site.ledger(symbol)["source"] != "reconciled"
