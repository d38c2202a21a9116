from __future__ import annotations

from hashlib import sha256

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from brain.text_fields import LEFT_OUT, cut_text, published_fields


def test_fields_are_told_as_they_were_published() -> None:
    published = {b"plan_id": b"plan-1", b"k_heat": b"0.30", b"reason": "Schnäppchen".encode()}
    assert published_fields(published) == {"plan_id": "plan-1", "k_heat": "0.30", "reason": "Schnäppchen"}


def test_what_is_no_text_is_escaped() -> None:
    assert published_fields({b"symbol": b"BTC\xff"}) == {"symbol": "BTC\\xff"}


def test_a_long_value_is_cut_and_can_still_be_recognised() -> None:
    steps = b"[" + b"x" * 5000
    digest = sha256(steps).hexdigest()
    assert cut_text(steps, 10) == f"[xxxxxxxxx… (5001 bytes, sha256 {digest})"
    assert published_fields({b"steps": steps})["steps"].endswith(f"… (5001 bytes, sha256 {digest})")


def test_of_very_many_fields_the_first_are_told_and_the_rest_is_counted() -> None:
    told = published_fields({f"field_{number}".encode(): b"x" * 500 for number in range(100)})
    assert told["field_0"] == "x" * 500
    left_out = 100 - (len(told) - 1)
    assert left_out > 50
    assert told[LEFT_OUT] == f"{left_out} more fields"


@given(st.dictionaries(st.binary(max_size=100), st.binary(max_size=1000), max_size=40))
def test_any_bytes_become_text_that_survives_json(fields: dict[bytes, bytes]) -> None:
    told = published_fields(fields)
    assert msgspec.json.decode(msgspec.json.encode(told), type=dict[str, str]) == told
    assert sum(map(len, told)) + sum(map(len, told.values())) < 9000


@given(st.dictionaries(st.binary(max_size=70), st.binary(max_size=520), max_size=20))
def test_what_is_decoded_in_one_go_is_what_each_field_is_by_itself(fields: dict[bytes, bytes]) -> None:
    told = {cut_text(name, 64): cut_text(value, 512) for name, value in fields.items()}
    if sum(map(len, told)) + sum(map(len, told.values())) <= 8000:
        assert published_fields(fields) == told


def test_a_zero_byte_stays_where_it_is() -> None:
    fields = {b"a\0b": b"c", b"d": b"\0", b"e": b""}
    assert published_fields(fields) == {"a\0b": "c", "d": "\0", "e": ""}


def test_a_long_name_is_cut_though_all_else_is_short() -> None:
    (name,) = published_fields({b"n" * 65: b"1"})
    assert name == cut_text(b"n" * 65, 64)


def test_a_long_value_is_cut_though_all_else_is_short() -> None:
    assert published_fields({b"n": b"v" * 513}) == {"n": cut_text(b"v" * 513, 512)}
