"""Plans that two roles read are parsed once, and never taken for those of another entry."""

from __future__ import annotations

from brain.identifiers import EntryId
from brain.plans.plan_fields import read_plan
from brain.plans.shared_plans import SharedPlans

ENTRY = EntryId("1760000000000-0")


def fields(quantity: bytes = b"1", plan_id: bytes = b"p1") -> dict[bytes, bytes]:
    return {
        b"plan_id": plan_id,
        b"symbol": b"BTCUSDT",
        b"decision": b"EXECUTE",
        b"action": b"ENTRY_PROPOSED",
        b"side": b"BUY",
        b"qty": quantity,
        b"reduceOnly": b"false",
    }


def test_the_second_reader_gets_the_plan_of_the_first() -> None:
    shared = SharedPlans()
    first = shared.read(ENTRY, fields())
    assert first == read_plan(fields())
    assert shared.read(ENTRY, fields()) is first


def test_an_id_with_other_fields_is_parsed() -> None:
    shared = SharedPlans()
    shared.read(ENTRY, fields(b"1"))
    assert shared.read(ENTRY, fields(b"2")) == read_plan(fields(b"2"))


def test_an_entry_that_both_have_read_is_forgotten() -> None:
    shared = SharedPlans()
    first = shared.read(ENTRY, fields())
    shared.read(ENTRY, fields())
    assert shared.read(ENTRY, fields()) is not first


def test_no_more_than_a_thousand_entries_are_kept() -> None:
    shared = SharedPlans()
    first = shared.read(ENTRY, fields())
    for number in range(1_024):
        shared.read(EntryId(f"1760000000001-{number}"), fields(plan_id=b"p%d" % number))
    assert shared.read(ENTRY, fields()) is not first
    assert shared.read(ENTRY, fields()) == first
