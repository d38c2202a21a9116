"""The Governor's section of docs/contract.md: its rules, permits, reasons and audit entries."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from brain.governor.equity import SWAPS, TRANSFERS
from brain.governor.judging import judge
from brain.governor.permit_text import block_json, permit_json
from brain.governor.reasons import GUARDS, DisarmReason, GovernorReason
from brain.governor.record import audit_fields
from brain.identifiers import EntryId, PlanId, Symbol
from tests.brain.governor.cases import closing, opening
from tests.brain.governor.test_judging_properties import STOPS_A_CLOSE
from tests.docs.documents import section, table

SECTION = section("docs/contract.md", "Governor")
RULES, GRANTS, PERMIT, DISARMS, AUDIT = range(5)
NAMES: dict[str, Any] = {"plan_id": PlanId("p"), "symbol": Symbol("BTCUSDT")}
WITHOUT_A_CASE = {"state_contended", "evaluation_failed"}
#: Members that only some permits have.
SOMETIMES = {"exit_block_expired", "details", "key_prefix", "signature"}
TYPES: dict[str, type | tuple[type, ...]] = {
    "text": str,
    "number": (int, float),
    "boolean": bool,
    "object": dict,
}


def listed(number: int) -> dict[str, list[str]]:
    return {name.strip("`"): cells for name, cells in table(SECTION, number).items()}


def test_reasons_are_those_of_the_service_in_the_order_of_its_rules() -> None:
    grants = {GovernorReason.GRANTED, GovernorReason.GRANTED_SCALED, GovernorReason.GRANTED_CLOSE}
    assert set(listed(GRANTS)) == grants
    assert list(listed(RULES)) == [reason for reason in GovernorReason if reason not in grants]
    assert set(listed(DISARMS)) == set(DisarmReason)
    assert {f"risk_guard_{name.lower()}" for name in GUARDS} <= set(listed(RULES))


def test_the_rules_that_stop_an_exit_are_those_of_the_table() -> None:
    stopping = {reason for reason, cells in listed(RULES).items() if cells[0] in ("all", "exits")}
    assert stopping - WITHOUT_A_CASE == STOPS_A_CLOSE


@pytest.mark.parametrize("case", [opening(), closing(), opening(mark_price=Decimal(300_000))])
def test_a_permit_has_the_members_of_the_table_in_their_types(case: Any) -> None:
    text = permit_json(judge(case), case, **NAMES, created_at_sec=1.5, issued_by="test")
    permit = msgspec.json.decode(text)
    assert set(listed(PERMIT)) - SOMETIMES == set(permit) - SOMETIMES
    for name, value in permit.items():
        assert value is None or isinstance(value, TYPES[listed(PERMIT)[name][0]]), name


def test_members_that_only_some_permits_have_are_in_the_table() -> None:
    case = opening(kill_switch=True)
    expired = msgspec.structs.replace(judge(case), exit_block_expired=True)
    text = permit_json(expired, case, **NAMES, created_at_sec=1.5, issued_by="test", key_prefix="quantum")
    assert [*msgspec.json.decode(text), "signature"] == list(listed(PERMIT))


def test_a_block_has_the_members_of_the_section() -> None:
    case = opening(kill_switch=True)
    block = msgspec.json.decode(block_json(judge(case), case, **NAMES, created_at_sec=1.5, issued_by="test"))
    sentence = re.search(r"Members of the block: (.*?);", SECTION, flags=re.S)
    assert sentence is not None
    assert re.findall(r"`(\w+)`", sentence[1]) == list(block)


def test_an_audit_entry_has_the_fields_of_the_table() -> None:
    case = opening()
    flat = audit_fields(
        judge(case),
        case,
        **NAMES,
        entry_id=EntryId("1-1"),
        decided_ms=1,
        issued_by="test",
        fields={},
        shadow=True,
    )
    assert list(flat[::2]) == list(listed(AUDIT))


def test_transfers_are_those_of_the_service() -> None:
    sentences = re.findall(r"(?:Transfers|swaps) \((.*?)\)", SECTION, flags=re.S)
    assert [set(re.findall(r"`(\w+)`", each)) for each in sentences] == [TRANSFERS, SWAPS]
