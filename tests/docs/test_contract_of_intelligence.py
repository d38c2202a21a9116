"""Keys, fields, words, metrics, log lines and status of decision intelligence in docs/contract.md."""

from __future__ import annotations

from inspect import getmembers, ismethod, signature

import pytest
import trio

from brain.intelligence.outcome import Outcome, read_outcome
from brain.intelligence.reasons import Gate, name_reason
from brain.intelligence.windows import WINDOWS
from monitoring.metrics.catalogue import INTELLIGENCE_CATALOGUE
from monitoring.status.intelligence import IntelligenceShown, WindowShown
from store.intelligence_records import (
    BUCKET_TTL_MS,
    MOST_AHEAD,
    MOST_REASONS,
    MOST_SYMBOL_FIELDS,
    MOST_UNKNOWN,
    UNKNOWN_TTL_MS,
    WINDOW_TTL_MS,
)
from tests.actors.intelligence_rig import NAMES, IntelligenceRig, running
from tests.docs.documents import codes, section, table
from tests.docs.observed_service import matching
from tests.virtual_time import virtual_time

SECTION = section("docs/contract.md", "Decision intelligence")
KEYS, FIELDS, DECISIONS, GATES, STATUS, METRICS, LINES = range(7)
KINDS = {"decision", "reason", "gate", "symbol_reason"}


def test_the_keys_are_those_of_the_code_with_their_lives() -> None:
    named = {NAMES.status, NAMES.unknown, NAMES.results.last_id, NAMES.counted_ahead}
    for _, method in getmembers(NAMES, ismethod):
        if not method.__name__.startswith("_"):
            named.add(method(*(f"<{name}>" for name in signature(method).parameters)))
    listed = table(SECTION, KEYS)
    assert listed.keys() == named
    lives = {key: cells[1].replace(" ", "").replace("\xa0", "") for key, cells in listed.items() if cells[1]}
    assert lives == {
        NAMES.bucket("<minute>"): f"{BUCKET_TTL_MS // 1000}s",
        NAMES.decisions("<window>"): f"{WINDOW_TTL_MS // 1000}s",
        NAMES.reasons("<window>"): f"{WINDOW_TTL_MS // 1000}s",
        NAMES.gates("<window>"): f"{WINDOW_TTL_MS // 1000}s",
        NAMES.unknown: f"{UNKNOWN_TTL_MS // 1000}s",
    }
    assert f"`{NAMES.results.group}`" in SECTION
    assert all(f"`{name}`" in SECTION for name in WINDOWS)


def test_the_limits_are_those_of_the_code() -> None:
    text = " ".join(SECTION.split())
    assert f"The first {MOST_REASONS} reasons" in text
    assert f"the first {MOST_UNKNOWN} decisions that were not understood" in text
    assert f"{MOST_SYMBOL_FIELDS - 1:,} fields of symbols".replace(",", " ") in text
    assert f"{MOST_AHEAD:,} at most".replace(",", " ") in text


def test_the_decisions_and_gates_are_those_of_the_code() -> None:
    assert [name.partition(":")[0] for name in table(SECTION, DECISIONS)] == [
        Outcome.EXECUTE, Outcome.BLOCKED, Outcome.SKIP, Outcome.ERROR, Outcome.UNKNOWN,
    ]  # fmt: skip
    assert set(table(SECTION, GATES)) == set(Gate)


@pytest.mark.parametrize("decision", [each for each in Outcome if each is not Outcome.UNKNOWN])
def test_each_word_of_a_decision_is_understood_as_the_contract_says(decision: Outcome) -> None:
    (cell,) = table(SECTION, DECISIONS)[decision]
    words = [code for code in codes(cell) if code.isupper()]
    assert words
    for word in words:
        assert read_outcome({b"decision": word.encode()}).outcome is decision


def test_each_reason_named_with_a_gate_belongs_to_it() -> None:
    for gate, (cell,) in table(SECTION, GATES).items():
        for code in codes(cell):
            if code.isascii():  # no `permit_…`
                assert name_reason(code, None).gate is Gate(gate), code


@virtual_time
async def test_fields_metrics_and_log_lines_are_those_of_the_contract() -> None:
    rig = IntelligenceRig()
    async with running(rig):
        entry_id = rig.executed()
        rig.denied()
        await trio.sleep(70)
    assert {field.partition(":")[0] for field in rig.bucket(entry_id)} == KINDS
    assert {field.partition(":")[0] for field in table(SECTION, FIELDS)} == KINDS
    assert {name.decode() for name in rig.redis.hgetall(NAMES.status)} == set(table(SECTION, STATUS))
    assert {name for name, _ in await rig.metrics()} == set(table(SECTION, METRICS))
    distribution, failed = table(SECTION, LINES)
    pattern = matching(distribution, r"\d+", reasons=r"( reason=\S+:\d+)*( UNKNOWN=\d+)?")
    lines = [line for line in rig.lines() if line.startswith("P3.5")]
    assert lines and all(map(pattern.fullmatch, lines))
    assert failed == "Result not counted: it has failed too often"


def test_the_metrics_are_those_of_the_catalogue_with_their_types_and_labels() -> None:
    listed = table(SECTION, METRICS)
    assert list(listed) == [each.name for each in INTELLIGENCE_CATALOGUE]
    for each in INTELLIGENCE_CATALOGUE:
        kind, labels, meaning = listed[each.name]
        assert (kind, tuple(codes(labels)), meaning) == (each.kind, each.labels, each.meaning)


def test_the_status_has_the_members_of_the_contract() -> None:
    (cell,) = table(section("docs/contract.md", "Roles"))["p35"]
    named = set(codes(cell))
    for shown in (IntelligenceShown, WindowShown):
        assert named >= set(shown.__struct_fields__), shown
