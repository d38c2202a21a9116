from __future__ import annotations

import csv
import io

import pytest
import trio
import trio.testing

import settings
from brain.identifiers import EntryId
from monitoring.find.audit_index import ROUND_SLICES, AuditIndex, audit_streams
from monitoring.find.columns import AllNames, Columns, Names
from monitoring.find.query import Query, matching
from monitoring.pacing import paced
from store.desk_protocol import SLICE, AuditRow
from store.memory.store import MemoryStore
from tests.monitoring.find_rig import asked, audited
from tests.monitoring.status_rig import ENVIRONMENT, NOON_MS, StatusRig, serving

#: Entries that one turn reads.
ROUND = ROUND_SLICES * SLICE


def row(number: int, plan_id: str | None = None, entry_id: str = "") -> AuditRow:
    name = plan_id or f"plan-{number}"
    return AuditRow(EntryId(f"{number}-0"), name, "BTCUSDT", "true", "x", entry_id, "")


def columns(*rows: AuditRow) -> Columns:
    made = Columns(AllNames(Names(), Names(), Names()))
    for each in rows:
        made.add(each)
    return made


def add(rig: StatusRig, begin: int, end: int) -> None:
    for number in range(begin, end):
        rig.redis.xadd("a", {"plan_id": f"plan-{number}", "allow": "true"}, entry_id=f"{number + 1}-0")


def index_of(rig: StatusRig, count: int) -> AuditIndex:
    add(rig, 0, count)
    return AuditIndex(rig.store, rig.clock, {"p33": "a"})


async def test_older_entries_are_read_on_at_each_use(rig: StatusRig) -> None:
    index = index_of(rig, ROUND + 10)
    held = await index.follow("p33", 0)
    assert (len(held.columns), held.complete) == (ROUND, False)
    assert held.columns.plan_id[0] == "plan-10"
    held = await index.follow("p33", 1)
    assert (len(held.columns), held.complete) == (ROUND + 10, True)
    assert held.columns.plan_id == [f"plan-{number}" for number in range(ROUND + 10)]


async def test_places_stay_while_others_read_on(rig: StatusRig) -> None:
    index = index_of(rig, ROUND + 10)
    before = (await index.follow("p33", 0)).columns
    places = await matching(before, Query())
    names = [before.plan_id[place] for place in places]
    await index.follow("p33", 1)
    rig.redis.xadd("a", {"plan_id": "later", "allow": "true"})
    await index.follow("p33", 1)
    assert [before.plan_id[place] for place in places] == names


async def test_many_at_once_read_each_entry_once(rig: StatusRig) -> None:
    index = index_of(rig, ROUND + 10)
    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(index.follow, "p33", 1)
    held = await index.follow("p33", 0)
    assert len(held.columns) == len(set(held.columns.plan_id)) == ROUND + 10


async def test_a_short_patience_is_kept_while_another_reads_on(rig: StatusRig) -> None:
    index = index_of(rig, 4 * ROUND)
    await index.follow("p33", 0)
    seen: list[tuple[int, bool]] = []

    async def look() -> None:
        held = await index.follow("p33", 0)
        seen.append((len(held.columns), held.complete))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(index.follow, "p33", 60)
        nursery.start_soon(look)
    assert seen[0][0] < 4 * ROUND and not seen[0][1]
    assert (await index.follow("p33", 0)).complete


async def test_held_entries_are_shown_while_another_waits_for_redis(rig: StatusRig) -> None:
    silent = False

    async def crossing() -> None:
        await trio.lowlevel.checkpoint()
        if silent:
            await trio.sleep_forever()

    add(rig, 0, 2 * ROUND)
    store = MemoryStore(rig.redis, keys=rig.keys, consumer="here", crossing=crossing)
    index = AuditIndex(store, rig.clock, {"p33": "a"})
    await index.follow("p33", 0)
    silent = True
    async with trio.open_nursery() as nursery:
        nursery.start_soon(index.follow, "p33", 60)
        await trio.testing.wait_all_tasks_blocked()
        with trio.fail_after(1):
            held = await index.follow("p33", 0.01)
        nursery.cancel_scope.cancel()
    assert (len(held.columns), held.complete, held.current) == (ROUND, False, False)


@pytest.mark.parametrize("gaps", [1, 2])
async def test_after_a_pause_the_newest_come_first_and_the_rest_is_joined(rig: StatusRig, gaps: int) -> None:
    index, count = index_of(rig, ROUND - 10), ROUND - 10
    assert (await index.follow("p33", 1)).complete
    for _ in range(gaps):
        add(rig, count, count + 3 * ROUND)
        count += 3 * ROUND
        held = await index.follow("p33", 0)
        assert (len(held.columns), held.complete) == (ROUND, False)
        assert held.columns.plan_id[-1] == f"plan-{count - 1}"
        assert held.back_to_ms == count - ROUND + 1
    held = await index.follow("p33", 1)
    assert held.complete
    assert held.columns.plan_id == [f"plan-{number}" for number in range(count)]


async def test_older_entries_are_not_read_for_a_plan_that_is_held(rig: StatusRig) -> None:
    index = index_of(rig, 2 * ROUND + 1)
    held, place = await index.decision_on("p33", f"plan-{2 * ROUND}", 60)
    assert (place, len(held.columns), held.complete) == (ROUND - 1, ROUND, False)
    held, place = await index.decision_on("p33", "plan-0", 60)
    assert (place, held.complete) == (0, True)
    assert (await index.decision_on("p33", "another", 60))[1] is None


async def test_a_stream_that_was_empty_is_followed(rig: StatusRig) -> None:
    index = index_of(rig, 0)
    assert (await index.follow("p33", 1)).complete
    add(rig, 0, 1)
    assert (await index.follow("p33", 1)).columns.plan_id == ["plan-0"]


async def test_the_newest_are_kept() -> None:
    kept = await paced(columns(*(row(number) for number in range(1, 8))).newest(3))
    assert kept.plan_id == ["plan-5", "plan-6", "plan-7"]
    assert [kept.audit_id(place) for place in range(3)] == ["5-0", "6-0", "7-0"]


async def test_a_plan_and_an_entry_are_found_at_their_newest_place() -> None:
    made = columns(row(1, "a"), row(2, "b", "7-1"), row(3, "a", "7-2"), row(4, "c"))
    assert [await made.place_of(name) for name in ("a", "b", "c", "d")] == [2, 1, 3, None]
    assert [await made.place_of_entry(each) for each in ("7-1", "7-2")] == [1, 2]
    assert {await made.place_of_entry(each) for each in ("7-3", "8-0", "x")} == {None}


@pytest.mark.parametrize("audit_id", ["999999999999999-3", "0-1"])
def test_a_time_that_no_calendar_has_is_kept(audit_id: str) -> None:
    made = columns(AuditRow(EntryId(audit_id), "", "", "", "", "x-y", ""))
    assert made.audit_id(0) == audit_id
    assert made.entry_id(0) == ""


def test_streams_are_those_of_the_roles_that_are_on() -> None:
    def streams(**modes: str) -> dict[str, str]:
        return audit_streams(settings.load({**ENVIRONMENT, **modes}).settings)

    assert streams() == {"p33": "quantum:stream:permit.audit"}
    assert streams(P33_GOVERNOR="shadow", P33_INTENT_BRIDGE="on") == {
        "p33": "quantum:stream:permit.audit",
        "governor": "quantum:governor:shadow:audit",
        "bridge": "quantum:stream:intent.audit",
    }


async def test_a_list_says_how_far_back_it_reaches_while_older_entries_are_read(
    rig: StatusRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monitoring.find.decisions._PAGE_READS_SEC", 0.0)
    for number in range(ROUND + 1):
        audited(rig, f"plan-{number}", back_ms=ROUND + 1 - number)
    async with serving(rig) as client:
        first = await asked(client, "/decisions")
        assert (
            f"{ROUND} of {ROUND} match. Older entries are being read: so far back to 2026-09-21" in first.text
        )
        assert [each["content"] for tag, each in first.elements if each.get("http-equiv") == "refresh"] == [
            "2"
        ]
        exported = (await client.get("/decisions.json")).json()
        assert (exported["reads_back_to_ms"], len(exported["decisions"])) == (None, ROUND + 1)
    assert exported["decisions"][-1]["at_ms"] == NOON_MS - ROUND - 1


async def test_a_file_says_that_it_is_incomplete(rig: StatusRig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monitoring.find.decisions._EXPORT_READS_SEC", 0.0)
    for number in range(ROUND + 1):
        audited(rig, f"plan-{number}", back_ms=ROUND + 1 - number)
    async with serving(rig) as client:
        cut = await client.get("/decisions.csv")
        monkeypatch.undo()
        whole = await client.get("/decisions.csv")
    assert "decisions-incomplete.csv" in cut.headers["content-disposition"]
    *rows, last = csv.DictReader(io.StringIO(cut.text))
    assert (len(rows), last["decided_ms"], last["plan_id"]) == (ROUND, rows[-1]["decided_ms"], "")
    assert last["reason"].startswith("INCOMPLETE")
    assert 'filename="decisions.csv"' in whole.headers["content-disposition"]
    assert len([*csv.DictReader(io.StringIO(whole.text))]) == ROUND + 1


@pytest.mark.parametrize("patience_sec", [0, 1])
async def test_no_more_entries_are_held_than_a_stream_keeps(
    rig: StatusRig, monkeypatch: pytest.MonkeyPatch, patience_sec: float
) -> None:
    monkeypatch.setattr("monitoring.find.audit_index.MOST_ROWS", ROUND)
    monkeypatch.setattr("monitoring.find.audit_index._SPARE", 10)
    index = index_of(rig, ROUND)
    assert len((await index.follow("p33", 1)).columns) == ROUND
    for added in (11, ROUND - 1, 3 * ROUND):
        end = rig.redis.xlen("a") + added
        add(rig, end - added, end)
        held = await index.follow("p33", patience_sec)
        assert len(held.columns) <= ROUND + 10
        assert held.columns.plan_id[-1] == f"plan-{end - 1}"
    assert held.columns.plan_id == [f"plan-{number}" for number in range(end - len(held.columns), end)]
