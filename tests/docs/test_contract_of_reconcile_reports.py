"""State, events, metrics, log lines and status of the reconcile engine in docs/contract.md."""

from __future__ import annotations

import trio
from structlog.testing import capture_logs

from brain.reconciliation.case_life import CaseStatus
from brain.reconciliation.drift import DriftReason
from brain.reconciliation.rules import DriftCause
from brain.reconciliation.texts import CaseEvent
from monitoring.metrics.catalogue import RECONCILE_CATALOGUE
from monitoring.status.reconcile import CaseOrder, CaseShown, ReconcileShown, RepairShown
from tests.actors.reconcile_rig import ReconcileRig, running_engine
from tests.docs.documents import DOCUMENTS, codes, section, table, tables
from tests.docs.observed_service import matching
from tests.virtual_time import virtual_time

SECTION = section("docs/contract.md", "Reconcile engine")
STATE, EVENTS, METRICS, LINES = range(1, 5)
OF_A_DRIFT = {"event", "symbol", "ts", "reason", "exchange_amt", "ledger_amt", "diff_amt", "diff_pct", "legs"}


def test_the_metrics_are_those_of_the_catalogue_with_their_types_and_labels() -> None:
    listed = table(SECTION, METRICS)
    assert list(listed) == [each.name for each in RECONCILE_CATALOGUE]
    for each in RECONCILE_CATALOGUE:
        kind, labels, meaning = listed[each.name]
        assert (kind, tuple(codes(labels)), meaning) == (each.kind, each.labels, each.meaning)


@virtual_time
async def test_states_events_and_log_lines_are_those_of_the_contract() -> None:
    rig = ReconcileRig()
    rig.agree("ETHUSDT", "-1")
    rig.own_order("p33-a")
    with capture_logs() as logs:
        async with running_engine(rig):
            rig.trade("BTCUSDT", "BUY", "1", client_order_id="p33-a")
            rig.trade("ETHUSDT", "BUY", "3", client_order_id="web_1")
            rig.trade("SOLUSDT", "BUY", "2", client_order_id="p33-orphan")
            await trio.sleep(10)
            rig.ledger("ETHUSDT", "2")
            await trio.sleep(6)
    lines = [str(each["event"]) for each in logs]
    for template in table(SECTION, LINES):
        pattern = matching(template, r"\S+", settings=".+", orders=".+")
        assert any(map(pattern.fullmatch, lines)), template
    documented = table(SECTION, EVENTS)
    assert set(documented) == set(CaseEvent)
    written = [dict(each) for each in rig.events()]
    assert {each["event"] for each in written} >= {
        "HOLD_SET", "HOLD_CLEARED", "AUTO_REPAIR", "MANUAL_REQUIRED", "ORPHAN_ORDER",
    }  # fmt: skip
    for event in written:
        besides, _ = documented[event["event"]]
        known = set(codes(besides)) | (OF_A_DRIFT if "diff_amt" in event else {"event", "symbol", "ts"})
        assert set(event) == known, event
    fields = set(table(SECTION, STATE))
    for symbol in ("BTCUSDT", "ETHUSDT"):
        assert set(rig.state(symbol)) <= fields
    assert fields - set(rig.state("ETHUSDT")) <= {"agreed_ms", "agreed_version"}


def test_the_words_of_a_state_are_those_of_the_code() -> None:
    listed = table(SECTION, STATE)
    assert codes(listed["status"][0]) == list(CaseStatus)
    assert codes(listed["reason"][0]) == list(DriftReason)


def test_the_status_of_the_engine_has_the_members_of_the_contract() -> None:
    (cell,) = table(section("docs/contract.md", "Roles"))["reconcile"]
    named = set(codes(cell))
    for shown in (ReconcileShown, CaseShown, CaseOrder, RepairShown):
        assert named >= set(shown.__struct_fields__), shown


def test_every_cause_and_every_reason_has_a_row_in_the_documents_table() -> None:
    (causes,) = tables(DOCUMENTS["docs/reconcile.md"])
    found = {code for row in causes for code in codes(row[1])}
    assert found >= set(DriftCause)
    assert found >= {reason for reason in DriftReason if not reason.compares}
