"""`replay --role`: drafted orders of the executor, and refreshes of the universe."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from brain.execution.draft_record import record_text
from brain.execution.drafting import draft
from brain.identifiers import EntryId
from brain.intents.answer import Answer
from brain.intents.case import BridgeRules, IntentCase
from brain.intents.deciding import decide, refuse_malformed
from brain.intents.intent import Lane, MalformedIntent
from brain.intents.record import audit_fields as intent_audit_fields
from brain.intents.record import recorded_rules
from brain.reconciliation.record import record_details, weighed
from brain.symbols.publication import Listing, Stored
from brain.symbols.record import UniverseInput, audit_fields, judge_input
from commands.cli import REPLAYED_ROLES
from commands.replay.overrides import parse_changes
from commands.replay.roles import BRIDGE, EXECUTOR, SUBJECTS, UNIVERSE
from settings import SettingsError
from tests.brain.execution.test_drafting import case
from tests.brain.intents.cases import NOW_MS as INTENTS_NOW_MS
from tests.brain.intents.cases import RULES as BRIDGE_RULES
from tests.brain.intents.cases import case as intent_case
from tests.brain.reconciliation.cases import ADOPTED, drift, evidence, order
from tests.brain.test_universe import NOW_MS, RULES, contract
from tests.commands.recording import Recording
from tests.commands.replay.test_replay import output_of

STREAMS = (
    ("executor.audit", "executor"),
    ("universe.audit", "universe"),
    ("reconcile.events", "reconcile"),
    ("intent.audit", "bridge"),
)


def drafted(service: Recording, stream: str = "executor.audit", **changes: Any) -> None:
    service.append(stream, {"step": "begin", "record": record_text(draft(case(**changes)))})


def refreshed(service: Recording, key: str = "quantum:stream:universe.audit") -> None:
    given = UniverseInput(Listing((contract("AUSDT"), contract("BUSDC")), NOW_MS), Stored(), RULES)
    flat = audit_fields(judge_input(given), given, decided_ms=NOW_MS, issued_by="me", shadow=False)
    service.append_to(key, dict(zip(flat[::2], flat[1::2], strict=True)))


def test_the_command_line_knows_every_decider() -> None:
    assert tuple(SUBJECTS) == REPLAYED_ROLES


async def test_drafted_orders_come_out_identical_and_other_steps_are_left_out(service: Recording) -> None:
    drafted(service)
    service.append("executor.audit", {"step": "query", "answer": "-2013"})
    drafted(service, kill_switch=True)
    text = output_of(service, role="executor")
    assert text.startswith("Identical: 2 drafted orders, each the same again.")
    assert output_of(service, role="executor", last=1).startswith("Identical: 1 drafted orders")


async def test_a_limit_of_the_executor_is_tried_out_on_its_drafts(service: Recording) -> None:
    drafted(service)
    drafted(service, kill_switch=True)
    words = " ".join(output_of(service, changes=["EXEC_MAX_NOTIONAL_USDT=49"]).split())
    assert words.startswith("With EXEC_MAX_NOTIONAL_USDT=49, 1 of 2 drafted orders would have had another")
    assert "SEND BUY open REFUSE position_too_large 1" in words
    words = " ".join(output_of(service, changes=["EXEC_APPLY_DOWNSIZE=true"]).split())
    assert "1 of 2 drafted orders" in words and 'quantity: "0.500" → "0.250"' in words


async def test_dry_runs_are_the_executors_shadow(service: Recording) -> None:
    drafted(service, "executor.dry_run")
    service.append("executor.dry_run", {"would_execute": "false", "error": "permit_timeout"})
    assert output_of(service, role="executor", shadow=True).startswith("Identical: 1 drafted orders")
    assert output_of(service, role="executor", exit_code=1).startswith("There are no recorded drafted")


async def test_a_draft_that_differs_fails_the_replay(service: Recording) -> None:
    text = record_text(draft(case())).replace('"quantity":"0.500"', '"quantity":"0.600"')
    service.append("executor.audit", {"step": "begin", "record": text})
    shown = output_of(service, exit_code=1, role="executor")
    assert shown.startswith("NOT IDENTICAL: 1 of 1 drafted orders differ.")
    assert 'quantity: "0.600" → "0.500"' in shown


async def test_refreshes_come_out_identical_and_with_other_filters_not(service: Recording) -> None:
    refreshed(service)
    assert output_of(service, role="universe").startswith("Identical: 1 refreshes, each the same again.")
    words = " ".join(output_of(service, changes=["UNIVERSE_QUOTES=USDT"]).split())
    assert words.startswith("With UNIVERSE_QUOTES=USDT, 1 of 1 refreshes would have had another answer.")
    assert "PUBLISH 2 symbols PUBLISH 1 symbols 1" in words and 'gone, new: ["BUSDC"] → []' in words
    refreshed(service, "quantum:universe:shadow:audit")
    assert "quantum:universe:shadow:audit" in output_of(service, role="universe", shadow=True)


async def test_weighings_come_out_identical_and_with_other_causes_not(service: Recording) -> None:
    looked = evidence(order("1", "SELL", "1", "web_1"))
    for stream in ("reconcile.events", "shadow"):
        details = record_details(weighed(drift("0", "1"), looked, ADOPTED))
        key = "quantum:reconcile:shadow:events" if stream == "shadow" else f"quantum:stream:{stream}"
        service.append_to(key, {"event": "MANUAL_REQUIRED", "symbol": "BTCUSDT", **details})
        service.append_to(key, {"event": "HOLD_SET", "symbol": "BTCUSDT"})
    for shadow in (False, True):
        text = output_of(service, role="reconcile", shadow=shadow)
        assert text.startswith("Identical: 1 weighings, each the same again.")
    words = " ".join(output_of(service, changes=["P34_ADOPT_CAUSES=manual"]).split())
    assert words.startswith("With P34_ADOPT_CAUSES=manual, 1 of 1 weighings would have had another answer.")
    assert "WAIT manual BOOK manual 1" in words and "qty_mismatch of ledger 7 BTCUSDT" in words


def answered(service: Recording, answer: Answer, of: IntentCase | None, key: str) -> None:
    flat = intent_audit_fields(
        answer, of, entry_id=EntryId("1-0"), lane=Lane.TRADE, symbol="BTCUSDT", decided_ms=NOW_MS,
        issued_by="me", fields={}, rules=recorded_rules(BRIDGE_RULES), shadow=False,
    )  # fmt: skip
    service.append_to(key, dict(zip(flat[::2], flat[1::2], strict=True)))


async def test_answers_to_intents_come_out_identical_and_with_other_rules_not(service: Recording) -> None:
    waited: dict[str, Any] = {"published_ms": INTENTS_NOW_MS - 5_000}
    opens, closed = intent_case(**waited), intent_case(lockdown=True, **waited)
    for key in ("quantum:stream:intent.audit", "quantum:intent_bridge:shadow:audit"):
        answered(service, decide(opens), opens, key)
        answered(service, decide(closed), closed, key)
    malformed = refuse_malformed(MalformedIntent(EntryId("2-0"), Lane.TRADE, None, {"symbol": "missing"}))
    answered(service, malformed, None, "quantum:stream:intent.audit")
    text = output_of(service, role="bridge")
    assert text.startswith("Identical: 2 answers to intents, each the same again.")
    assert "1 not decided on a case, so not replayed: malformed_intent" in text
    assert output_of(service, role="bridge", shadow=True).startswith("Identical: 2 answers to intents")
    words = " ".join(output_of(service, changes=["INTENT_BRIDGE_MAX_AGE_SEC=2"]).split())
    assert words.startswith("With INTENT_BRIDGE_MAX_AGE_SEC=2, 2 of 2 answers to intents would have had")
    assert "REFUSE intent_expired" in words


async def test_bytes_that_are_no_record_are_counted(service: Recording) -> None:
    for stream, role in STREAMS:
        service.append(stream, {"record": "{}"})
        assert "1 could not be read" in output_of(service, exit_code=1, role=role)


def test_every_setting_of_the_rules_can_be_tried_out() -> None:
    assert set(EXECUTOR.changeable.values()) == {
        "apply_downsize", "allow_upsize", "min_notional", "max_notional",
    }  # fmt: skip
    assert set(UNIVERSE.changeable.values()) == set(RULES.__struct_fields__) - {"mode"}
    assert parse_changes(["UNIVERSE_MAX=5", "UNIVERSE_MAX_SHRINK_PCT=7"], UNIVERSE) == {
        "most": 5, "max_shrink_pct": Decimal(7),
    }  # fmt: skip

    assert set(BRIDGE.changeable.values()) == set(BridgeRules.__struct_fields__) - {"exit_max_age_sec"}


def test_a_setting_that_decides_nothing_names_those_that_do() -> None:
    with pytest.raises(SettingsError, match="cannot be tried out on recorded drafted orders"):
        parse_changes(["EXEC_ORDER_TIMEOUT_SEC=3"], EXECUTOR)
    with pytest.raises(SettingsError, match="did you mean UNIVERSE_QUOTES"):
        parse_changes(["UNIVERSE_QUOTE=USDT"], UNIVERSE)
