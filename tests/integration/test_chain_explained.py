"""An intent through all roles of a running daemon: explained by each of its names, replayed by each role."""

from __future__ import annotations

import json
from typing import Any

import pytest

from commands.explain import explain
from commands.replay import ReplayOptions, replay
from tests.integration.bridged import CHAIN, EXITS, Intents, reads
from tests.integration.governed_plans import knows_the_account, prices_are_known
from tests.integration.site import Site
from tests.integration.surroundings import SYMBOLS
from tests.integration.waiting import until

Capture = pytest.CaptureFixture[str]
#: The universe's publisher beside the roles of the bridge's test.
WHOLE = {**CHAIN, "P33_UNIVERSE": "shadow"}
REPLAYED = (
    ("bridge", False, "answers to intents"),
    ("governor", False, "judgements"),
    ("p33", False, "decisions"),
    ("executor", False, "drafted orders"),
    ("universe", True, "refreshes"),
)


def explained(site: Site, capsys: Capture, subject: str) -> dict[str, Any]:
    assert explain({"REDIS_URL": site.redis_url}, subject, as_json=True) == 0, capsys.readouterr().err
    shown: dict[str, Any] = json.loads(capsys.readouterr().out)
    return shown


async def test_an_intents_way_is_explained_by_every_name_and_replayed_by_every_role(
    site: Site, capsys: Capture
) -> None:
    intents = Intents(site)
    async with site.daemon(WHOLE) as daemon:
        await knows_the_account(await daemon.ready())
        await reads(site)
        await prices_are_known(site.redis, *SYMBOLS)
        opened = intents.buy("SOLUSDT", kill_score="0.3")
        row = await intents.answer(opened)
        result = await intents.result(row["plan_id"])
        assert result["order_status"] == "FILLED", result
        await site.ledger_reaches("SOLUSDT", row["qty"])
        await site.snapshot_reaches("SOLUSDT", row["qty"])
        exit_fields = {
            "intent_id": "exit-77-long", "symbol": "SOLUSDT", "action": "FULL_CLOSE", "side": "LONG",
            "qty_fraction": "1.0", "quantity": row["qty"],
        }  # fmt: skip
        closing = await intents.answer(intents.publish(EXITS, exit_fields), EXITS)
        await site.ledger_reaches("SOLUSDT", "0")
        await until(lambda: site.redis.xlen("quantum:universe:shadow:audit"), "a refresh of the universe", 10)
        assert daemon.alive and "Actor failed" not in daemon.output, daemon.output[-2000:]

    for name in (opened, row["plan_id"], row["plan_id"][:9], result["order_id"], result["client_order_id"]):
        shown = explained(site, capsys, f" {name}\n")
        assert shown["plan_id"] == row["plan_id"], name
    assert {each["name"]: each["state"] for each in shown["chain"]} == dict.fromkeys(
        ("intent", "Governor", "P3.3", "executor", "ledger"), "here"
    )
    timeline = shown["execution"]["timeline"]
    lines = [each["what"].partition(":")[0] for each in timeline]
    assert lines[:3] == [
        "The intent was published on trade.intent.",
        f"The bridge makes it plan {row['plan_id']}.",
        "The plan was published.",
    ]
    assert set(lines[3:5]) == {"The Governor grants it", "P3.3 allows it"}
    assert lines[-2:] == ["Result", "Booked in the ledger"]
    assert all(each["after_ms"] >= 0 for each in timeline[1:])
    assert explained(site, capsys, "exit-77-long")["plan_id"] == closing["plan_id"]

    for role, shadow, decisions in REPLAYED:
        assert replay({"REDIS_URL": site.redis_url}, ReplayOptions(role=role, shadow=shadow)) == 0, role
        text = capsys.readouterr().out
        assert text.startswith("Identical: ") and decisions in text, text
