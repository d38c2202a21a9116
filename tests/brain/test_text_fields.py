from __future__ import annotations

from hashlib import sha256

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from brain.text_fields import LEFT_OUT, text_fields, truncate


def test_fields_are_recorded_as_published() -> None:
    published = {b"plan_id": b"plan-1", b"k_heat": b"0.30", b"reason": "Schnäppchen".encode()}
    assert text_fields(published) == {"plan_id": "plan-1", "k_heat": "0.30", "reason": "Schnäppchen"}


def test_bytes_that_are_no_text_are_escaped() -> None:
    assert text_fields({b"symbol": b"BTC\xff"}) == {"symbol": "BTC\\xff"}


def test_a_long_value_is_cut_and_can_still_be_recognised() -> None:
    steps = b"[" + b"x" * 5000
    digest = sha256(steps).hexdigest()
    assert truncate(steps, 10) == f"[xxxxxxxxx… (5001 bytes, sha256 {digest})"
    assert text_fields({b"steps": steps})["steps"].endswith(f"… (5001 bytes, sha256 {digest})")


def test_of_very_many_fields_the_first_are_kept_and_the_rest_is_counted() -> None:
    texts = text_fields({f"field_{number}".encode(): b"x" * 500 for number in range(100)})
    assert texts["field_0"] == "x" * 500
    left_out = 100 - (len(texts) - 1)
    assert left_out > 50
    assert texts[LEFT_OUT] == f"{left_out} more fields"


@given(st.dictionaries(st.binary(max_size=100), st.binary(max_size=1000), max_size=40))
def test_any_bytes_become_text_that_survives_json(fields: dict[bytes, bytes]) -> None:
    texts = text_fields(fields)
    assert msgspec.json.decode(msgspec.json.encode(texts), type=dict[str, str]) == texts
    assert sum(map(len, texts)) + sum(map(len, texts.values())) < 9000


@given(st.dictionaries(st.binary(max_size=70), st.binary(max_size=520), max_size=20))
def test_fields_decoded_together_are_as_each_is_by_itself(fields: dict[bytes, bytes]) -> None:
    texts = {truncate(name, 64): truncate(value, 512) for name, value in fields.items()}
    if sum(map(len, texts)) + sum(map(len, texts.values())) <= 8000:
        assert text_fields(fields) == texts


def test_a_zero_byte_stays_where_it_is() -> None:
    fields = {b"a\0b": b"c", b"d": b"\0", b"e": b""}
    assert text_fields(fields) == {"a\0b": "c", "d": "\0", "e": ""}


def test_a_long_name_is_cut_though_all_else_is_short() -> None:
    (name,) = text_fields({b"n" * 65: b"1"})
    assert name == truncate(b"n" * 65, 64)


def test_a_long_value_is_cut_though_all_else_is_short() -> None:
    assert text_fields({b"n": b"v" * 513}) == {"n": truncate(b"v" * 513, 512)}
