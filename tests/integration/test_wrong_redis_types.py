"""Keys that others write and that hold something of another type than agreed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.integration.pipeline import EVENTS, PLANS, RESULTS, Pipeline, entry, executed
from tests.integration.site import Site

LEDGER = "quantum:position:ledger:BTCUSDT"
COOLDOWN = "quantum:cooldown:last_exec_ts:BTCUSDT"
HOLD = "quantum:reconcile:hold:BTCUSDT"
SNAPSHOT = "quantum:position:snapshot:BTCUSDT"
UNIVERSE = "quantum:cfg:universe:"

Write = Callable[[Any], object]


def replaced(key: str, write: Callable[[Any, str], object]) -> Write:
    def act(client: Any) -> object:
        client.delete(key)
        return write(client, key)

    return act


def a_string(client: Any, key: str) -> object:
    return client.set(key, "x")


def a_list(client: Any, key: str) -> object:
    return client.rpush(key, "x")


def a_hash(client: Any, key: str) -> object:
    return client.hset(key, "a", "b")


#: What is written, and the reason with which a plan to open is then answered.
CASES: dict[str, tuple[Write, str]] = {
    "ledger is a string": (replaced(LEDGER, a_string), "reconcile_required_qty_mismatch"),
    "ledger is a list": (replaced(LEDGER, a_list), "reconcile_required_qty_mismatch"),
    "ledger is no number": (
        lambda client: client.hset(LEDGER, "last_known_amt", "NaN"),
        "reconcile_required_qty_mismatch",
    ),
    "ledger overflows": (
        lambda client: client.hset(LEDGER, "last_known_amt", "1e999"),
        "reconcile_required_qty_mismatch",
    ),
    "ledger is no text": (
        lambda client: client.hset(LEDGER, "last_known_amt", b"\xff\xfe"),
        "reconcile_required_qty_mismatch",
    ),
    "ledger is a megabyte": (
        lambda client: client.hset(LEDGER, "last_known_amt", "0" * 1_000_000),
        "reconcile_required_qty_mismatch",
    ),
    "last order time is no time": (
        lambda client: client.hset(LEDGER, "last_order_time_epoch", "Infinity"),
        "reconcile_required_qty_mismatch",
    ),
    "cooldown is a hash": (replaced(COOLDOWN, a_hash), "cooldown_in_flight"),
    "cooldown is a list": (replaced(COOLDOWN, a_list), "cooldown_in_flight"),
    "cooldown is no text": (lambda client: client.set(COOLDOWN, b"\xff"), "cooldown_in_flight"),
    "cooldown is no number": (lambda client: client.set(COOLDOWN, "NaN"), "cooldown_in_flight"),
    "hold is a hash": (replaced(HOLD, a_hash), "reconcile_hold_active"),
    "hold is a list": (replaced(HOLD, a_list), "reconcile_hold_active"),
    "hold is empty": (lambda client: client.set(HOLD, ""), "reconcile_hold_active"),
    "snapshot is a string": (replaced(SNAPSHOT, a_string), "open_permit_granted"),
}


@pytest.fixture
def unreadable_universe(pipeline: Pipeline) -> None:
    pipeline.redis.hset(f"{UNIVERSE}active", "symbols", "x")
    pipeline.redis.set(f"{UNIVERSE}meta", "x")
    pipeline.redis.rpush(f"{UNIVERSE}last_ok", "x")
    pipeline.redis.set("quantum:stream:trade.intent", "x")


async def test_each_is_answered_with_its_reason_and_no_actor_falls(site: Site) -> None:
    async with site.service() as service:
        sound = site.redis.dump(LEDGER)
        for case, (write, reason) in CASES.items():
            write(site.redis)
            answer = await site.ask(case, entry("BTCUSDT", "0.01"))
            assert (case, answer["reason"]) == (case, reason)
            site.redis.delete(COOLDOWN, HOLD)
            site.redis.restore(LEDGER, 0, sound, replace=True)
        await site.nothing_pends(PLANS)
        await site.decided_once(CASES)
        assert service.restarts() == {}


async def test_a_result_for_a_ledger_of_a_wrong_type_is_a_dead_letter_and_a_refusal_is_taken(
    site: Site,
) -> None:
    async with site.service() as service:
        replaced(LEDGER, a_string)(site.redis)
        site.publish_result(executed("a", "BTCUSDT", "1", "BUY", "0.01"))
        site.publish_result(executed("b", "BTCUSDT", "2", "BUY", "0.01") | {"executed": "False"})
        site.fill("c", "ETHUSDT", "BUY", "0.01")
        await site.ledger_reaches("ETHUSDT", "0.01")
        await site.nothing_pends(RESULTS)
        assert "a" in [fields["plan_id"] for fields in site.dead_letters(RESULTS)]
        assert site.redis.get(LEDGER) == "x"
        assert service.restarts() == {}


@pytest.mark.usefixtures("unreadable_universe")
async def test_an_unreadable_universe_opens_nothing_and_the_service_runs(site: Site) -> None:
    settings = {"P33_ALLOWLIST_SOURCE": "universe", "P33_ALLOWLIST": "", "P33_ALLOWLIST_REFRESH_S": "0.1"}
    async with site.service(**settings) as service:
        answer = await site.ask("open", entry("BTCUSDT", "0.01"))
        assert answer["reason"] == "symbol_not_in_allowlist"
        universes: tuple[bytes | str, ...] = (
            "null", "[]", '{"asof_epoch": 1e999, "symbols": ["BTCUSDT"]}', b"\xff\xfe", "{" * 50_000,
            '{"asof_epoch": NaN, "symbols": "BTCUSDT"}', '{"asof_epoch": -1, "symbols": [1, null, {}]}',
        )  # fmt: skip
        for number, text in enumerate(universes):
            site.redis.delete(*(f"{UNIVERSE}{name}" for name in ("active", "meta", "last_ok")))
            site.redis.set(f"{UNIVERSE}active", text)
            site.redis.set(f"{UNIVERSE}last_ok", text)
            site.redis.hset(
                f"{UNIVERSE}meta", mapping={"stale": "0", "count": "1", "asof_epoch": b"\xff", "error": ""}
            )
            await service.channels.allowlist.changed()
            await service.channels.allowlist.changed()
            answer = await site.ask(f"open-{number}", entry("BTCUSDT", "0.01"))
            assert (text[:40], answer["reason"]) == (text[:40], "symbol_not_in_allowlist")
        assert service.restarts() == {}
        assert site.entries(EVENTS) == []
