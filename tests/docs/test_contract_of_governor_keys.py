"""The Governor's section of docs/contract.md: its groups, keys, statistics, grants and events."""

from __future__ import annotations

from decimal import Decimal
from inspect import getmembers, ismethod, signature
from pathlib import Path

import msgspec

from brain.governor.grants import Grant, grant_text
from brain.identifiers import PlanId, Symbol
from brain.plans.permit import Kind
from brain.positions.position import Leg
from store.governor_records import StoredEquity
from store.governor_values import (
    ALLOCATION_FIELDS,
    BUDGET_FIELDS,
    EFFICIENCY_FIELDS,
    ENTRY_FIELDS,
    EXIT_FIELDS,
)
from store.keys import GUARDS, ExecutorKeys, GovernorKeys, Keys
from tests.docs.documents import ROOT, codes, section, table, tables

SECTION = section("docs/contract.md", "Governor")
GROUPS, WRITTEN, READ, STATS, GRANT, EVENTS = range(5, 11)
KEYS = Keys("quantum")
GOVERNOR, SHADOW = (GovernorKeys(KEYS, shadow=shadow) for shadow in (False, True))
EXECUTOR = ExecutorKeys(KEYS)


def named_keys() -> set[str]:
    """All keys that the code names, with the names of parameters in them."""
    named = {GOVERNOR.plans.last_id, GOVERNOR.results.last_id, EXECUTOR.trading_state}
    named |= {
        text
        for name, text in vars(GOVERNOR).items()
        if isinstance(text, str) and name not in ("prefix", "base")
    }
    for _, method in getmembers(GOVERNOR, ismethod):
        if not method.__name__.startswith("_"):
            named.add(method(*(f"<{name}>" for name in signature(method).parameters)))
    return named


def read_keys() -> set[str]:
    symbol = "<symbol>"
    return {
        *EXECUTOR.switches[1:], EXECUTOR.lockdown, GOVERNOR.frozen, GOVERNOR.heat,
        GOVERNOR.blacklisted(symbol), GOVERNOR.budget(symbol), GOVERNOR.allocation(symbol),
        GOVERNOR.efficiency(symbol), "quantum:risk:guard_active:<type>",
    }  # fmt: skip


def test_groups_are_those_of_the_code() -> None:
    streams = [GOVERNOR.plans, SHADOW.plans, GOVERNOR.results, SHADOW.results]
    listed = [codes(stream + group) for stream, group, _ in tables(SECTION)[GROUPS]]
    assert listed == [[each.key, each.group] for each in streams]


def test_keys_are_those_of_the_code() -> None:
    read, permit = read_keys(), GOVERNOR.permit("<plan_id>")
    assert table(SECTION, READ).keys() == read
    assert table(SECTION, WRITTEN).keys() == named_keys() - read - {permit}
    assert f"It writes `{permit}` for" in SECTION


def test_the_shadows_own_keys_lie_where_the_section_says() -> None:
    assert {SHADOW.events, SHADOW.audit, SHADOW.plans.dead, SHADOW.results.dead} == {
        f"quantum:governor:shadow:{name}" for name in ("events", "audit", "dead")
    }
    assert SHADOW.window("S") == "quantum:governor:shadow:window:S"


def test_fields_of_neighbours_statistics_and_equity_are_those_that_are_read() -> None:
    read = table(SECTION, READ)
    for key, fields in (
        (GOVERNOR.budget("<symbol>"), BUDGET_FIELDS),
        (GOVERNOR.allocation("<symbol>"), ALLOCATION_FIELDS),
        (GOVERNOR.efficiency("<symbol>"), EFFICIENCY_FIELDS),
    ):
        assert tuple(codes(read[key][0])) == fields
    assert tuple(codes(read["quantum:risk:guard_active:<type>"][1])) == GUARDS
    assert tuple(table(SECTION, STATS)) == (*ENTRY_FIELDS, *EXIT_FIELDS, "v")
    assert tuple(codes(table(SECTION, WRITTEN)[GOVERNOR.equity][2])) == StoredEquity._fields


def test_a_live_grant_has_the_members_of_the_table() -> None:
    grant = Grant(
        plan_id=PlanId("p"), symbol=Symbol("BTCUSDT"), kind=Kind.OPEN, leg=Leg.BOTH, quantity=Decimal(1),
        notional=Decimal(1), granted_ms=1, ends_ms=2, filled=Decimal(1), filled_ms=1,
        executed_before_sec=Decimal(1),
    )  # fmt: skip
    assert list(msgspec.json.decode(grant_text(grant))) == list(table(SECTION, GRANT))


def test_events_are_those_that_the_code_names() -> None:
    code = "".join(
        path.read_text()
        for folder in ("actors/governor", "monitoring/acts", "store/scripts")
        for path in sorted(Path(ROOT, folder).iterdir())
        if path.is_file()
    )
    for event in table(SECTION, EVENTS):
        assert f'"{event}"' in code or f"'{event}'" in code
