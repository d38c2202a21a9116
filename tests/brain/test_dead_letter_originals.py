"""The entry that a dead letter was made of, restored from it or refused."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from brain.decisions.dead_letter import NoOriginalError, dead_letter, original_of
from brain.identifiers import EntryId

ENTRY = EntryId("1760000000000-3")


def letter_of(fields: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
    flat = dead_letter(fields, entry_id=ENTRY, error="why")
    return {name.encode(): value.encode() for name, value in zip(flat[::2], flat[1::2], strict=True)}


@pytest.mark.parametrize(
    "fields",
    [
        {b"plan_id": b"p-1", b"qty": b"0.1"},
        {b"plan_id": b"p-1", b"error": b"-1021", b"entry_id": b"5-0"},
        {"naïve".encode(): "ü …".encode()},
        {b"details": b"x" * 1024},
    ],
)
def test_an_entry_is_restored_as_it_was(fields: dict[bytes, bytes]) -> None:
    original = original_of(letter_of(fields))
    assert (original.entry_id, original.published_ms) == (ENTRY, 1_760_000_000_000)
    assert dict(original.fields) == fields


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "trimmed"),
        ({b"details": b"x" * 1025}, "the beginning of field details alone"),
        ({b"x" * 1025: b"1"}, "the beginning of field"),
        ({b"qty": b"\xff"}, "field qty had bytes that are no text"),
        ({b"f%d" % number: b"1" for number in range(64)}, "64 fields"),
        ({b"f%d" % number: b"1" for number in range(70)}, "64 fields"),
    ],
)
def test_an_entry_of_which_less_was_kept_is_refused(fields: dict[bytes, bytes], said: str) -> None:
    with pytest.raises(NoOriginalError, match=said):
        original_of(letter_of(fields))


@pytest.mark.parametrize("entry_id", [b"", b"1760000000000", b"x-0", b"-1-0", b"\xff-0"])
def test_a_letter_that_names_no_entry_is_refused(entry_id: bytes) -> None:
    with pytest.raises(NoOriginalError, match="does not name the entry"):
        original_of({b"entry_id": entry_id, b"plan_id": b"p"})
