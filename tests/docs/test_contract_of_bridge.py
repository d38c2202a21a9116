"""Streams, keys, fields, reasons, metrics, log lines and status of the intent bridge in docs/contract.md."""

from __future__ import annotations

import re

from brain.intents.intent import Lane
from brain.intents.reading import _NUMBERS, _TEXTS
from brain.intents.reasons import IntentReason
from monitoring.metrics.catalogue import BRIDGE_CATALOGUE
from monitoring.status.bridge import BridgeShown, IntentShown
from store.bridge_values import LONGEST_AUDIT, LONGEST_PLANS, lane_stream
from store.keys import BridgeNames
from tests.actors.bridge_rig import BridgeRig, actor_rules, answered, running_bridge
from tests.docs.documents import codes, section, table
from tests.docs.observed_service import matching
from tests.virtual_time import virtual_time

SECTION = section("docs/contract.md", "Intent bridge")
STREAMS, KEYS, TRADE, EXIT, PLAN, REASONS, AUDIT, METRICS, LINES = range(9)
NAMES = BridgeNames("quantum", shadow=False)
LANES = {lane: lane_stream(NAMES, lane) for lane in Lane}
#: Fields of a plan that the text before the table names.
NAMED_BEFORE = {"decision", "type", "signature", "symbol"}


def test_the_streams_and_groups_are_those_of_the_code() -> None:
    listed = {stream: codes(cells[0])[0] for stream, cells in table(SECTION, STREAMS).items()}
    assert listed == {lane.key: lane.group for lane in LANES.values()}


def test_the_keys_are_those_of_the_code() -> None:
    listed = table(SECTION, KEYS)
    assert set(listed) == {
        NAMES.plans, NAMES.audit, NAMES.seen("<mark>"), NAMES.last_close("<symbol>"),
        NAMES.trade_intents.last_id.replace("trade.intent", "<stream>"),
    }  # fmt: skip
    lengths = [int(re.sub(r"\D", "", listed[key][1])) for key in (NAMES.plans, NAMES.audit)]
    assert lengths == [LONGEST_PLANS, LONGEST_AUDIT]
    assert BridgeNames("quantum", shadow=True).base in SECTION


def test_optional_fields_are_those_of_the_code() -> None:
    for lane in (TRADE, EXIT):
        named = {code for field in rows(lane) for code in field}
        assert named >= {*_TEXTS, "positionSide", "symbol", "action", "side", "k_…"}
    named = {code for field in rows(TRADE) for code in field}
    assert named >= {name for names in _NUMBERS.values() for name in names}


def rows(number: int) -> list[list[str]]:
    """The names in each row's first cell."""
    lines = [line for line in SECTION.splitlines() if line.startswith(("|", "**", "A close"))]
    tables: list[list[str]] = [[]]
    for line in lines:
        if line.startswith("|---"):
            tables.append([])
        elif line.startswith("| `"):
            tables[-1].append(line.split(" | ")[0])
    return [codes(cell) for cell in tables[number + 1]]


def test_the_reasons_are_those_of_the_code() -> None:
    assert set(table(SECTION, REASONS)) == set(IntentReason)
    operations = table(section("docs/operations.md", "The intent bridge"))
    assert set(operations) == set(IntentReason)


def test_the_metrics_are_those_of_the_catalogue_with_their_types_and_labels() -> None:
    listed = table(SECTION, METRICS)
    assert list(listed) == [each.name for each in BRIDGE_CATALOGUE]
    for each in BRIDGE_CATALOGUE:
        kind, labels, meaning = listed[each.name]
        assert (kind, tuple(codes(labels)), meaning) == (each.kind, each.labels, each.meaning)


def test_the_status_has_the_members_of_the_contract() -> None:
    (cell,) = table(section("docs/contract.md", "Roles"))["intent_bridge"]
    named = set(codes(cell))
    for shown in (BridgeShown, IntentShown):
        assert named >= set(shown.__struct_fields__), shown


@virtual_time
async def test_plans_audit_and_log_lines_are_those_of_the_contract() -> None:
    rig = BridgeRig()
    shadow = BridgeRig(actor_rules(P33_INTENT_BRIDGE="shadow"))
    for each in (rig, shadow):
        each.position("ETHUSDT", "1")
        async with running_bridge(each):
            each.publish(sl_pct="2", tp_pct="3")
            each.publish("ETHUSDT", lane=Lane.EXIT, positionSide="BOTH")
            each.publish("NONEUSDT")
            await answered()
            each.redis.set(each.names.mode, "LOCKDOWN")
            each.publish()
            await answered()
    fields = {name for plan in rig.plans for name in plan}
    assert fields - NAMED_BEFORE == {name for names in rows(PLAN) for name in names}
    recorded = {name for each in (rig, shadow) for entry in each.audit for name in entry}
    assert recorded == {name for names in rows(AUDIT) for name in names}
    started, planned, refused, locked = (
        matching(line, r".+", qty=r"[0-9.]+", entry_id=r"[0-9]+-[0-9]+(?: \(shadow\))?")
        for line in table(SECTION, LINES)
    )
    assert shadow.plans == []
    for each in (rig, shadow):
        lines = each.lines()
        assert [
            len([line for line in lines if pattern.fullmatch(line)]) for pattern in (started, planned)
        ] == [1, 2]
        assert [
            len([line for line in lines if pattern.fullmatch(line)]) for pattern in (refused, locked)
        ] == [2, 1]
