from __future__ import annotations

import hmac
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gate_testing.permits import KEY, signed
from permit_gate.signature import SignatureMissingError, SignatureWrongError, sign, verified

_TEXT = b'{"plan_id":"a","allow":true,"safe_close_qty":0.028}'


def test_the_signature_is_an_hmac_sha256_over_the_exact_text() -> None:
    assert sign(_TEXT, KEY) == hmac.new(KEY, _TEXT, sha256).hexdigest()


def test_the_signed_text_is_the_permit_without_its_last_member() -> None:
    assert verified(signed(_TEXT), KEY) == _TEXT


@pytest.mark.parametrize(
    "text", [_TEXT, b"", b"}", b'{"signature":"' + b"0" * 64 + b'"}', signed(_TEXT) + b"\n"]
)
def test_a_text_without_a_signature_at_its_end_is_recognised(text: bytes) -> None:
    with pytest.raises(SignatureMissingError):
        verified(text, KEY)


def test_another_key_is_found_out() -> None:
    with pytest.raises(SignatureWrongError):
        verified(signed(_TEXT, b"another key"), KEY)


@given(position=st.integers(0, len(_TEXT) - 2), byte=st.integers(0, 255))
def test_no_byte_of_the_text_can_be_changed(position: int, byte: int) -> None:
    text = bytearray(signed(_TEXT))
    if text[position] == byte:
        byte ^= 1
    text[position] = byte
    with pytest.raises((SignatureWrongError, SignatureMissingError)):
        verified(bytes(text), KEY)


def test_nothing_can_be_put_behind_what_was_signed() -> None:
    text = signed(_TEXT)
    with pytest.raises(SignatureWrongError):
        verified(text[:-1] + b',"allow":true,' + text.rpartition(b",")[2], KEY)
