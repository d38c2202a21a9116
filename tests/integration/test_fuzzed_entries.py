"""Twenty thousand hostile entries: the actors stay up, only honest plans are allowed, nothing pends."""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec
import trio
import trio.lowlevel

from tests.integration.fuzzed_entries import HONEST, SPOILT, FuzzedEntries
from tests.integration.http_side import body
from tests.integration.pipeline import AUDIT, PLANS, RESULTS, Pipeline, entry, executed
from tests.integration.site import Site
from tests.integration.surroundings import is_ready, trade
from tests.integration.test_ledger_sum import plain

ENTRIES = 20_000
SEED = 3
BATCH = 250
#: Plans that ask for nothing, among the others.
SKIPPED = 20
SETTINGS = {
    "P33_ALLOWLIST_SOURCE": "universe",
    "P33_ALLOWLIST_REFRESH_S": "0.5",
    "P33_PLAN_MAX_AGE_SEC": "60",
    "P33_WEIGHT_BUDGET_PER_MIN": "2400",
}


class Node(msgspec.Struct):
    """A supervisor or an actor."""

    name: str
    restarts: int
    last_reason: str | None
    children: list[Node]

    def failed(self) -> list[str]:
        """Return the names of all from here down that were ever restarted, or have a reason for it."""
        own = [self.name] if self.restarts or self.last_reason else []
        return own + [name for child in self.children for name in child.failed()]


class Status(msgspec.Struct):
    ready: bool
    tree: Node


async def skipped_plans(url: str) -> int:
    """Count the entries that were acknowledged because they ask for no permit."""
    metrics = await body(url, "/metrics")
    counts = re.findall(r"^p33_plans_skipped_total\{.*\} (\S+)$", metrics, re.MULTILINE)
    return int(sum(map(float, counts)))


def published(pipeline: Pipeline, stream: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the entries of a stream, page by page: all at once are too much for one answer."""
    after = "-"
    while page := pipeline.redis.xrange(stream, min=after, count=500):
        yield from page
        after = f"({page[-1][0]}"


async def assert_no_plan_is_lost(pipeline: Pipeline, url: str) -> None:
    """Check that each entry was decided, or repeats a decided plan, or is a dead letter, or was skipped."""
    dead = {letter["entry_id"] for letter in pipeline.dead_letters(PLANS)}
    decided = {fields["entry_id"]: fields["plan_id"] for _, fields in pipeline.entries(AUDIT)}
    plan_ids = set(decided.values())
    left = [
        fields
        for entry_id, fields in published(pipeline, PLANS)
        if entry_id not in decided and entry_id not in dead
    ]
    asking_nothing = [fields for fields in left if fields.get("decision", "EXECUTE") != "EXECUTE"]
    unanswered = [fields for fields in left if fields.get("plan_id") not in plan_ids]
    assert [fields for fields in unanswered if fields not in asking_nothing] == []
    assert SKIPPED <= len(unanswered) <= await skipped_plans(url) <= len(asking_nothing)


def assert_no_result_is_lost(pipeline: Pipeline) -> None:
    """Check that each executed one is booked, so that its order is remembered, or is a dead letter."""
    dead = {letter["entry_id"] for letter in pipeline.dead_letters(RESULTS)}
    left = [
        fields
        for entry_id, fields in published(pipeline, RESULTS)
        if fields.get("executed") == "True" and entry_id not in dead
    ]
    assert left
    for fields in left:
        assert pipeline.redis.hexists(f"quantum:p33:orders:{fields['symbol']}", fields["order_id"]), fields


async def test_twenty_thousand_fuzzed_entries_restart_no_actor_and_are_allowed_nothing(site: Site) -> None:
    fuzz = FuzzedEntries(SEED)
    redis = site.redis
    async with site.daemon(SETTINGS) as daemon:
        url = await daemon.ready()
        pipe = redis.pipeline(transaction=False)
        for symbol in SPOILT:
            fuzz.spoilt_key(symbol)(pipe)
        pipe.execute()
        for number in range(ENTRIES):
            fuzz.write()(pipe)
            if number % (ENTRIES // SKIPPED) == 0:
                pipe.xadd(PLANS, entry(HONEST[0], "20") | {"plan_id": f"skip-{number}", "decision": "SKIP"})
                order = trade(site.exchange, "BTCUSDT", "SELL", "0.01")
                pipe.xadd(
                    RESULTS, executed(f"honest-{number}", "BTCUSDT", order.order_id, "SELL", order.executed)
                )
            if number % BATCH == BATCH - 1:
                pipe.execute()
                await trio.lowlevel.checkpoint()
        pipe.execute()
        await site.nothing_pends(PLANS, RESULTS, within_sec=40)

        answer = await site.ask("after", entry(HONEST[-1], "20"), within_sec=10)
        assert answer["reason"] not in ("malformed_plan", "evaluation_failed")
        ledgers = [site.ledger_amount(symbol) for symbol in HONEST]
        assert ledgers == [plain(site.exchange.position(symbol).amount) for symbol in HONEST]
        assert ledgers[0] == "-0.2"
        await site.decided_once(fuzz.answerable)
        allowed = {fields["plan_id"] for _, fields in site.entries(AUDIT) if fields["allow"] == "true"}
        assert allowed <= fuzz.honest | {"after"}
        assert allowed & fuzz.honest
        await assert_no_plan_is_lost(site, url)
        assert_no_result_is_lost(site)
        shown = msgspec.json.decode(await body(url, "/status"), type=Status)
        assert shown.tree.failed() == []
        await is_ready(lambda: url)
        assert "Actor failed" not in daemon.output
