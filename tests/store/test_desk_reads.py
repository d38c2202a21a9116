"""Reads of the desk's pages, of the twin and of each Redis."""

from __future__ import annotations

import pytest

from brain.decisions.decision import decide
from brain.decisions.permit_text import audit_record
from brain.identifiers import EntryId, PlanId, Symbol
from store.desk_protocol import AuditRow
from store.errors import StoreRefusedError
from tests.brain.cases import case, plan
from tests.store.backends import KEYS, Backend, Text

HOSTILE = '"},"fields":{"source":"forged","x":{'


def record(source: str = "harvest", plan_id: str = "plan-1") -> bytes:
    the_case = case(plan(plan_id=plan_id, source=source))
    return audit_record(
        decide(the_case), the_case, plan_id=PlanId(plan_id), symbol=Symbol("BTCUSDT"), issued_by="x",
        fields={"plan_id": plan_id, "source": source}, permit=b"null",
    )  # fmt: skip


def add(backend: Backend, number: int, **fields: str | bytes) -> EntryId:
    flat: dict[Text, Text] = dict(fields.items())
    return backend.outside.xadd(KEYS.audit, flat, entry_id=f"{1_760_000_000_000 + number}-{number}")


def add_result(backend: Backend, number: int, *, order_id: str) -> EntryId:
    return backend.outside.xadd(KEYS.results, {"order_id": order_id, "note": "%d"}, entry_id=f"{number}-0")


async def test_rows_have_the_fields_of_a_decision_without_its_record(backend: Backend) -> None:
    audit_id = add(
        backend, 1, plan_id="plan-1", symbol="BTCUSDT", allow="true", reason="sanity_checks_passed",
        entry_id="1759999999900-0", record=record(),
    )  # fmt: skip
    expected = AuditRow(
        audit_id, "plan-1", "BTCUSDT", "true", "sanity_checks_passed", "1759999999900-0", "harvest"
    )
    assert await backend.store.audit_rows(KEYS.audit) == [expected]


async def test_rows_of_other_roles_have_their_own_names_for_answer_and_reason(backend: Backend) -> None:
    add(backend, 1, plan_id="a", granted="false", reason="heat")
    add(backend, 2, outcome="plan", stream="trade.intent")
    add(backend, 3, step="begin", plan_id="a")
    rows = await backend.store.audit_rows(KEYS.audit)
    assert [row[1:] for row in rows] == [
        ("a", "", "", "begin", "", ""),
        ("", "", "plan", "", "", "trade.intent"),
        ("a", "", "false", "heat", "", ""),
    ]


async def test_rows_are_read_slice_by_slice_to_either_end(backend: Backend) -> None:
    ids = [add(backend, number, plan_id=f"plan-{number}") for number in range(1, 8)]
    newest = await backend.store.audit_rows(KEYS.audit, count=3)
    assert [row.audit_id for row in newest] == ids[:3:-1]
    older = await backend.store.audit_rows(KEYS.audit, newest=f"({ids[4]}", count=9)
    assert [row.audit_id for row in older] == ids[3::-1]
    newer = await backend.store.audit_rows(KEYS.audit, oldest=f"({ids[4]}", count=9)
    assert [row.audit_id for row in newer] == [ids[6], ids[5]]
    assert await backend.store.audit_rows("q:nothing") == []


@pytest.mark.parametrize("hostile", [HOSTILE, 'a"b', "\\", "<script>", "ü" * 300])
async def test_a_source_is_read_from_the_plan_and_cannot_be_forged(backend: Backend, hostile: str) -> None:
    add(backend, 1, plan_id=hostile, record=record("real", hostile))
    add(backend, 2, plan_id="b", record=b"no JSON")
    rows = await backend.store.audit_rows(KEYS.audit)
    assert rows[0].source == ""
    assert rows[1].source == ("" if "{" in hostile else "real")
    assert rows[1].plan_id.encode(errors="replace")[:200] == hostile.encode()[:200]


async def test_entries_with_a_text_are_found_from_either_end(backend: Backend) -> None:
    entries: list[dict[str | bytes, str | bytes]] = [
        {"order_id": str(number % 3), "note": "%d"} for number in range(9)
    ]
    ids = [
        backend.outside.xadd(KEYS.results, fields, entry_id=f"{number}-0")
        for number, fields in enumerate(entries, 1)
    ]
    read = backend.store.entries_naming
    forwards = await read(KEYS.results, "2", first="-", last="+", count=6)
    assert (forwards.looked, forwards.last_id) == (6, ids[5])
    assert [each.id for each in forwards.found] == [ids[2], ids[5]]
    assert (forwards.found[0].fields or {})[b"order_id"] == b"2"
    back = await read(KEYS.results, "2", first="+", last="-", back=True, count=2)
    assert (back.last_id, [each.id for each in back.found]) == (ids[7], [ids[8]])
    behind = await read(KEYS.results, "2", first=f"({ids[5]}", last="7", count=9)
    assert (behind.looked, behind.found) == (1, [])
    assert (await read(KEYS.results, "%", first="-", last="+", count=50)).looked == 9
    assert (await read("q:nothing", "a", first="-", last="+")).looked == 0


async def test_a_slice_ends_after_twenty_entries_that_are_found(backend: Backend) -> None:
    for number in range(30):
        backend.outside.xadd(KEYS.results, {"plan_id": "a"}, entry_id=f"{number + 1}-0")
    found = await backend.store.entries_naming(KEYS.results, "a", first="-", last="+")
    assert (found.looked, found.last_id, len(found.found)) == (20, "20-0", 20)


async def test_keys_are_read_with_what_is_left_of_their_life(backend: Backend) -> None:
    backend.outside.set("q:a", "1")
    backend.outside.set("q:b", "2", ttl_ms=60_000)
    backend.outside.hset("q:c", {"f": "v"})
    read = await backend.store.read_keys(["q:a", "q:b", "q:c", "q:d"], ["q:c", "q:d", "q:a"])
    assert read.strings == [b"1", b"2", None, None]
    assert read.lives_ms[0] is None and 50_000 < (read.lives_ms[1] or 0) <= 60_000
    assert read.hashes == [{b"f": b"v"}, {}, None]
    assert (await backend.store.read_keys([], [])).strings == []


async def test_of_other_keys_existence_is_all_that_is_read(backend: Backend) -> None:
    backend.outside.set("q:a", "1")
    backend.outside.hset("q:c", {"f": "v"})
    read = await backend.store.read_keys(["q:a"], ["q:c"], ["q:c", "q:d", "q:a"])
    assert (read.strings, read.hashes, read.exist) == ([b"1"], [{b"f": b"v"}], [True, False, True])


async def test_another_type_is_refused_by_name(backend: Backend) -> None:
    backend.outside.set(KEYS.audit, "text")
    with pytest.raises(StoreRefusedError, match=r"stream:permit\.audit"):
        await backend.store.audit_rows(KEYS.audit)
