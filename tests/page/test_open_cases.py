"""Open cases on the page."""

from __future__ import annotations

from page.open_cases import CaseLeg
from page.rendering import Page
from tests.page.case_contents import open_case, reconcile
from tests.page.contents import content
from tests.page.test_rendering import page_of


def test_an_open_case_is_shown_with_its_evidence_and_with_what_a_person_can_do() -> None:
    reading = page_of(reconcile=reconcile())
    assert reading.unbalanced == []
    text = reading.text
    assert "1 for a person compares 56 symbols" in text
    assert "BTCUSDT MANUAL_REQUIRED qty_mismatch, manual, for 1 min 35 s, held by this service" in text
    assert "exchange 0.038 , ledger 0.05 , difference -0.012 (24 %)" in text
    assert "moved the position: SELL 0.012 of order 77 To accept the exchange's position" in text
    assert "77 web_x1 manual SELL 0.012 2 2026-09-21 12:59:58 UTC" in text
    assert "First seen 2026-09-21 13:00:00 UTC; 3 looks at the evidence, the next in 41 s." in text
    assert "Latest repairs: 1 symbol ETHUSDT -1.5 booked at 2026-09-21 12:40:00 UTC" in text


def test_a_case_by_legs_without_a_ledger_or_a_next_look_says_so() -> None:
    case = open_case(legs=(CaseLeg("LONG", "3", "2"),), ledger=None, next_look_sec=None, looks=1)
    text = page_of(reconcile=reconcile(cases=(case,), left_out=4)).text
    assert "ledger –" in text and "; LONG 3 against 2" in text
    assert "1 look at the evidence." in text
    assert "4 more cases are not shown." in text


def test_without_the_role_there_is_nothing_of_a_reconcile_engine_on_the_page() -> None:
    assert "reconcile" not in "".join(Page().document(content())).lower()
