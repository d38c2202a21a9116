"""`compare universe`: the shadow's list beside the one that is published."""

from __future__ import annotations

import json
from typing import Any

from brain.symbols.publication import Listing, Stored
from brain.symbols.record import UniverseInput, audit_fields, judge_input
from brain.symbols.universe_text import list_text
from commands.compare import CompareOptions, compare
from tests.brain.test_universe import NOW_MS, RULES, contract, rules
from tests.commands.recording import Recording

ACTIVE, SHADOW = "quantum:cfg:universe:active", "quantum:universe:shadow"


def publish_shadow(service: Recording, *contracts: Any, record: bool = True, **changes: Any) -> None:
    given = UniverseInput(Listing(contracts, NOW_MS), Stored(), rules(RULES, **changes))
    judgement = judge_input(given)
    assert judgement.universe is not None
    text = list_text(judgement.universe, given.rules, asof_epoch=NOW_MS // 1000, published_by="me")
    service.redis.set(f"{SHADOW}:active", text)
    if record:
        flat = audit_fields(judgement, given, decided_ms=NOW_MS, issued_by="me", shadow=True)
        service.append_to(f"{SHADOW}:audit", dict(zip(flat[::2], flat[1::2], strict=True)))


def publish(service: Recording, *symbols: str, asof: int = NOW_MS // 1000) -> None:
    service.redis.set(ACTIVE, json.dumps({"asof_epoch": asof, "symbols": symbols}))


def compared(service: Recording, exit_code: int) -> dict[str, Any]:
    assert compare(service.environ, "universe", CompareOptions(), as_json=True) == exit_code
    shown: dict[str, Any] = json.loads(service.capsys.readouterr().out)
    return shown


async def test_equal_lists_agree(service: Recording) -> None:
    publish_shadow(service, contract("AUSDT"), contract("BUSDT"))
    publish(service, "AUSDT", "BUSDT")
    shown = compared(service, 0)
    assert (shown["agreement_pct"], shown["decisions"], shown["notes"]) == (100, 2, [])


async def test_each_symbol_that_differs_has_the_filter_that_left_it_out(service: Recording) -> None:
    publish_shadow(
        service,
        contract("AUSDT"),
        contract("BUSDC"),
        contract("CUSDT", status="SETTLING"),
        contract("DUSDT"),
        contract("EUSDT", delivery_date=NOW_MS + 1000),
        quotes=("USDT",),
        blacklist=("DUSDT",),
    )
    publish(service, "BUSDC", "CUSDT", "DUSDT", "EUSDT", "GONEUSDT")
    shown = compared(service, 1)
    assert {each["id"]: each["ours"]["reason"] for each in shown["differences"]} == {
        "AUSDT": "chosen",
        "BUSDC": "name_or_quote",
        "CUSDT": "not_trading",
        "DUSDT": "blacklist",
        "EUSDT": "closing",
        "GONEUSDT": "not_listed",
    }
    assert shown["differences"][0]["theirs"]["side"] == {"yes": False, "reason": "not in its list"}


async def test_without_a_list_of_another_publisher_nothing_can_be_compared(service: Recording) -> None:
    [note] = compared(service, 1)["notes"]
    assert "no shadow runs here" in note
    publish_shadow(service, contract("AUSDT"), record=False)
    service.redis.hset("quantum:cfg:universe:meta", items=["stale", "1", "error", "fetch_failed"])
    shown = compared(service, 1)
    assert shown["unknown"] == {"no list of another publisher: fetch_failed": 1}
    assert shown["notes"] == ["The published list is stale: fetch_failed."]


async def test_lists_of_different_moments_are_named(service: Recording) -> None:
    publish_shadow(service, contract("AUSDT"), record=False)
    publish(service, "AUSDT", "BUSDT", asof=NOW_MS // 1000 - 1000)
    shown = compared(service, 1)
    assert shown["differences"][0]["ours"]["reason"] == "not in our list"
    assert shown["notes"][0].startswith("The lists are 1000 s apart")
